"""What a desktop is told about the program: who it is, what it opens, its icon and its manual.

`python packaging/metadata share FOLDER` writes all of it as it lies below `/usr/share`, and
`python packaging/metadata check` lets the validators of each format judge it. Nothing of it is typed twice: pages of
the manual come from the commands' own grammars, the icons from one SVG.
"""
