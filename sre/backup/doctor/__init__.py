"""What does a store really do, asked by trying it?"""
