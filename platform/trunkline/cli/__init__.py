"""The command line: it parses arguments and wires services together. Commands import what they need when they run."""
