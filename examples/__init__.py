"""Frameworks as a user would write them: each imports public names of `mesostic` and nothing else of ours.

`hello` is the smallest (hello world, and a run of many empty tasks), `images` inverts a folder of pictures, `counting` counts
exactly once however often it is killed, `offers` has its offers in hand, and `rendler` is a web crawler that takes a picture of
each page. Nothing here is imported by the product.
"""
