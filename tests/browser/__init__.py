"""The pages in a real Chromium, one for all of these tests: none of them is async."""
