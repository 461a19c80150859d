"""Floor 2, left wing: how each channel and helpdesk speaks. One file a connector."""
