async def beside(sizes): return {}
