"""The names and things that word problems are about, cut into a train and a test half by a stable hash."""

import zlib

__all__ = ["ITEMS", "NAMES", "PLACES", "half"]


def half(words: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Return the words that belong to a split: the same on every machine, none in both.

    >>> set(half(NAMES, "train")).isdisjoint(half(NAMES, "test"))
    True
    """
    return tuple(word for word in words if (zlib.crc32(word.encode()) & 1) == (split == "test"))


NAMES: tuple[str, ...] = tuple(
    """
    Abena Adele Aiko Alba Amara Anouk Anton Arjun Astrid Axel Bashir Beatriz Benoit Bianca Bogdan Bruno Camila Carlos
    Celine Chidi Clara Cormac Dagny Dalia Damir Daria Diego Dmitri Edith Efua Eilidh Elias Elif Emeka Emil Enzo Esra
    Ezra Fatima Felix Femke Filip Fiona Florin Gaia Gareth Gitte Goran Greta Gustav Hamza Hanna Haruto Hedda Hiro Hugo
    Ibrahim Ida Igor Imani Ines Ingrid Irina Isak Ivo Jada Jalil Jasper Jelena Joanna Jorge Julia Kaito Kamal Karin
    Katya Kenji Kofi Kwame Laila Lars Leila Lena Leon Liam Lidia Linus Livia Lorenzo Lucia Luka Magda Malik Marek Marta
    Matteo Mei Milan Mina Mira Nadia Nala Naomi Nikolai Nils Nina Noor Nuria Odette Olga Omar Oscar Otto Paola Pavel
    Petra Pilar Piotr Priya Quentin Rafael Rania Rashid Renata Rosa Ruben Sadia Salma Samir Sanna Saskia Selma Sergio
    Sigrid Silas Simone Sofia Stefan Sven Talia Tamar Tariq Teresa Thabo Theo Tilda Tomas Uma Ursula Vera Viktor Wanda
    Wei Xenia Yara Yasmin Yusuf Zahra Zora
    """.split()
)

ITEMS: tuple[str, ...] = tuple(
    " ".join(word.split())
    for word in """
    pencils, marbles, stamps, postcards, stickers, candles, buttons, beads, shells, coins, badges, ribbons,
    notebooks, crayons, erasers, rulers, envelopes, magnets, keyrings, balloons, lanterns, kites, puzzles, dominoes,
    whistles, apples, pears, plums, peaches, lemons, oranges, mangoes, figs, walnuts, chestnuts, cherries, melons,
    onions, carrots, radishes, turnips, pumpkins, tulips, roses, daisies, bulbs, seedlings, acorns, muffins, bagels,
    waffles, pretzels, biscuits, pancakes, dumplings, scones, tarts, cupcakes, lollipops, toffees, bowls, mugs,
    plates, spoons, jars, baskets, tiles, bricks, bolts, screws, hinges, washers, planks, ropes, pulleys, scarves,
    gloves, socks, mittens, caps, aprons, towels, cushions, posters, comics, maps, atlases, flutes, drums, medals,
    trophies, robots, yo-yos, spinning tops, paper cranes, bookmarks
    """.split(",")
)

PLACES: tuple[str, ...] = tuple(
    " ".join(word.split())
    for word in """
    Alderton, Brackwater, Cinderford, Dunmarsh, Eastvale, Fennick, Gallowmere, Hartsfield, Inverlow, Juniper Hill,
    Kestrel Bay, Larkhaven, Millbrook, Northwick, Oakhollow, Pinecrest, Quarry Bank, Ravensby, Saltmarsh, Thornbury,
    Underhill, Valemont, Westerham, Yarrow Point, Ashcombe, Birchdale, Coldspring, Dovecote, Elmstead, Foxley,
    Greywater, Heathrow Green, Ironbridge, Kingsmoor, Lowfield, Marshgate, Nettlebed, Otterburn, Plumstead, Redcliff
    """.split(",")
)
