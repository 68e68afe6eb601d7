"""Rubrics: named, weighted components over an episode, which are its reward."""
