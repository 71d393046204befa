"""Who may run: the ready queue with its fair shares and ageing, the session's gate, both doors."""
