"""Is the chain whole: journey, objective, alert, runbook, rehearsal, backup that was restored?"""
