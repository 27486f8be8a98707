"""The scan: every key's size, type and TTL, as fast as the server allows and as gentle as it needs."""
