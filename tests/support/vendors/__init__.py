"""The vendors' side of chat channels, one file each: see tests/support/vendor.py."""
