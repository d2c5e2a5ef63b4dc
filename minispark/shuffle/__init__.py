"""Map outputs from writer to reader."""
