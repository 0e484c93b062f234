"""Published models: a Hugging Face `config.json` as a configuration, and a checkpoint under our names.

    table.py        a config.json read key by key: what is wrong, and what could not be expressed, in words
    families/       one file per family: which keys mean what, and which of its tensors is which of ours
    safetensors.py  the file format, read and written without torch
    checkpoint.py   a checkpoint on disk: one file, or shards with an index
    importing.py    `import_config` and `import_weights`: a folder in, a configuration and its weights out

Nothing here executes anything that it reads, and nothing here needs torch: weights are cut, turned and renamed as
bytes, never computed with.
"""
