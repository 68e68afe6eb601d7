"""The kinds of sites, a file each: tables, pages, forms."""

__all__: list[str] = []
