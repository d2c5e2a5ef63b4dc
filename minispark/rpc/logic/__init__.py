"""The pure parts of the RPC layer: addresses, framing, mailboxes, handshake."""
