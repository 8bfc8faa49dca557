"""How fast is it, and what does it take?"""
