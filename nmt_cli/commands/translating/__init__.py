"""The parts of `nmt translate`: where lines come from, who translates them, where translations go."""
