"""The formats of other tools' exports, one module each."""
