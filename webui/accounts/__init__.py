"""Who may use this server: accounts, sessions of browsers and tokens of programs. None of them: one's own desktop."""
