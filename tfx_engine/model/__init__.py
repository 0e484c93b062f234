"""The transformer's skeleton, its assembly from techniques, and what makes a configuration legal."""
