"""Clock, memory, gradients, attention, device: what is measured, and how."""
