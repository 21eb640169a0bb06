"""The hands: stateless processes that carry agents, tools and model calls. Any number of each may run."""
