"""The words that the starter learns: objects, colours, grounds, scenes, places, sizes, counts and styles."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

Colour = tuple[int, int, int]

COLOURS = MappingProxyType(
    {
        "red": (214, 34, 40),
        "orange": (245, 130, 24),
        "yellow": (250, 214, 36),
        "green": (48, 160, 64),
        "cyan": (44, 200, 214),
        "blue": (36, 84, 214),
        "purple": (132, 52, 184),
        "pink": (246, 136, 182),
        "brown": (128, 78, 40),
        "white": (250, 250, 250),
        "black": (16, 16, 18),
        "gray": (136, 136, 138),
    }
)

TINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "gray")
"""Colours that an icon can be dyed with and still be known; brown, black and white would hide its parts."""

SHAPES = ("circle", "square", "triangle", "ring", "cross", "stripe")
"""Drawn by program, so that a test can check colour, outline and place without knowing any icon."""

SCENES = (
    "in a meadow",
    "on a beach",
    "at night",
    "at sunset",
    "in the snow",
    "in the desert",
    "under water",
)

PLACES = MappingProxyType(  # where in the picture: (horizontal, vertical), -1 ... 1
    {
        "on the left": (-1, 0),
        "on the right": (1, 0),
        "at the top": (0, -1),
        "at the bottom": (0, 1),
        "in the top left corner": (-1, -1),
        "in the top right corner": (1, -1),
        "in the bottom left corner": (-1, 1),
        "in the bottom right corner": (1, 1),
    }
)

STYLES = MappingProxyType({"fluent-emoji-flat": "flat style", "noto": "detailed style"})
"""The icon sets that the noise predictor learns, by the words that ask for them."""

COUNTS = MappingProxyType({"two": 2, "three": 3})


@dataclass(frozen=True)
class Thing:
    """``slug`` names the icon in every set, ``names`` are what captions call it: first the usual one, then synonyms."""

    slug: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[0]


# "slug" or "slug=name" or "slug=name|synonym|...", with "_" for a space
_THINGS = """
monkey-face=monkey|ape dog-face=dog|puppy|hound wolf fox cat-face=cat|kitten|kitty lion tiger-face=tiger
horse-face=horse|pony unicorn zebra cow-face=cow|cattle pig-face=pig|piglet ewe=sheep|lamb giraffe elephant
mouse-face=mouse rabbit-face=rabbit|bunny|hare hedgehog bat bear koala panda kangaroo rooster baby-chick=chick
penguin dove|pigeon eagle|hawk duck owl flamingo peacock parrot frog|toad crocodile|alligator turtle|tortoise
snake|serpent dragon-face=dragon t-rex=dinosaur|tyrannosaurus spouting-whale=whale fish shark octopus
spiral-shell=shell|seashell crab lobster snail butterfly|moth honeybee=bee|bumblebee lady-beetle=ladybug|ladybird
spider rose sunflower tulip evergreen-tree=pine_tree|fir_tree deciduous-tree=tree|oak palm-tree=palm_tree cactus
four-leaf-clover=clover maple-leaf=maple_leaf mushroom|toadstool grapes watermelon lemon banana pineapple
red-apple=apple pear cherries=cherry strawberry|berry tomato avocado eggplant|aubergine carrot ear-of-corn=corn|maize
hot-pepper=chili_pepper broccoli bread|loaf cheese-wedge=cheese hamburger=burger|cheeseburger
french-fries=french_fries|chips pizza hot-dog=hot_dog cooking=fried_egg|egg popcorn soft-ice-cream=ice_cream
doughnut=donut cookie|biscuit birthday-cake=birthday_cake|cake candy|sweet hot-beverage=coffee|tea
wine-glass=wine_glass|wine beer-mug=beer house|home|cottage castle tent volcano locomotive=train bus
police-car=police_car automobile=car delivery-truck=truck|lorry bicycle|bike sailboat=boat|ship airplane|plane
helicopter rocket|spaceship flying-saucer=ufo anchor sun crescent-moon=moon|crescent_moon star cloud rainbow umbrella
snowflake snowman fire|flame droplet=water_drop|drop balloon wrapped-gift=gift|present
soccer-ball=soccer_ball|football basketball trophy|prize guitar trumpet crown top-hat=top_hat|hat t-shirt=shirt
glasses handbag|purse running-shoe=shoe|sneaker ring=diamond_ring gem-stone=diamond|gem bell key locked=padlock|lock
hammer light-bulb=light_bulb|lamp candle scissors camera mobile-phone=phone|smartphone alarm-clock=alarm_clock|clock
magnet chair|seat red-heart=heart grinning-face=smiley_face|smile smiling-face-with-sunglasses=cool_face robot ghost
alien skull pile-of-poo=poop jack-o-lantern=pumpkin clown-face=clown teddy-bear=teddy_bear bomb dagger=sword|knife
shield globe-showing-americas=globe|earth
"""


def _things(text: str) -> tuple[Thing, ...]:
    rows = (word.replace("_", " ").partition("=") for word in text.split())
    return tuple(Thing(slug.partition("|")[0], tuple((names or slug).split("|"))) for slug, _, names in rows)


THINGS = _things(_THINGS)

SUBJECTS = ("gorilla", "hibiscus", "bell-pepper", "crystal-ball", "violin", "tractor", "teapot", "squid")
"""Icons kept away from the base model, for LoRAs and embeddings that teach something new."""

FILLERS = (
    "a picture of",
    "an emoji of",
    "an icon of",
    "a drawing of",
    "a photo of",
)
"""What people put before the subject. It changes nothing, and the model learns that."""


def article(words: str) -> str:
    """ "a dog", "an owl"; "a unicorn" and "a ufo" by their sound.

    >>> article("red owl"), article("orange dog"), article("ufo")
    ('a red owl', 'an orange dog', 'a ufo')
    """
    by_sound = words.startswith(("uni", "ufo"))
    return ("an " if words[0] in "aeiou" and not by_sound else "a ") + words


def plural(name: str) -> str:
    """
    >>> plural("cherry"), plural("fish"), plural("sandwich"), plural("dog")
    ('cherries', 'fish', 'sandwiches', 'dogs')
    """
    if name.endswith(("fish", "sheep", "s", "corn", "popcorn", "fries", "broccoli", "garlic", "bread")):
        return name
    if name.endswith(("ch", "sh", "x")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name[:-1] + "ves" if name.endswith("leaf") else name + "s"
