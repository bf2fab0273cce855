"""Release gate: does the shop hold at the load of tomorrow, and can the answer be trusted?"""
