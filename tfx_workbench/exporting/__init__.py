"""A run in the formats of other programs: tables, a page of TensorBoard, a trace, a program, a bundle to send."""
