"""The front door: the command line, run folders, the demo, the doctor, the rendered report."""
