"""Exhibits on paper: HTML, SVG and CSV without Qt; PDF and PNG by QtGui, never by widgets."""
