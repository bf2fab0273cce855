"""How is an operation carried out so that a run that was killed goes on where it stood?"""
