"""From events to mail: whoever publishes an event needs to know nobody, and is heard by every agent that subscribes."""
