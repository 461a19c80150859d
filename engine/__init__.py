"""Floor 2, right wing: deciding. Pure: no clock, network or disk below this door."""
