"""Pure decisions over values; time and chance are arguments."""
