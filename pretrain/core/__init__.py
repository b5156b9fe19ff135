"""The ground floor: errors, settings, journals, signals, processes; nothing here knows an image or a network."""
