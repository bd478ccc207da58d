"""Encoders: each returns a pyramid of feature maps and says their channels and strides."""
