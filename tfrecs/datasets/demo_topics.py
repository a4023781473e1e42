"""What the demo world is about: 24 topics in 8 categories, each with its words and skills."""

from typing import NamedTuple


class Topic(NamedTuple):
    """A topic: its category, the things its items are about, and the skills of who works in it.

    Things are plural or uncountable, so that any of them fits any sentence.
    """

    category: str
    name: str
    things: tuple[str, ...]
    skills: tuple[str, ...]


def _topic(category: str, name: str, things: str, skills: str) -> Topic:
    return Topic(category, name, tuple(things.split(", ")), tuple(skills.split(", ")))


TOPICS = (
    _topic(
        "technology",
        "programming",
        "compilers, unit tests, code reviews, type systems, debuggers, open source libraries, "
        "command line tools, memory leaks, build scripts, pull requests",
        "Python, continuous integration, software architecture, code review",
    ),
    _topic(
        "technology",
        "machine learning",
        "neural networks, decision trees, training sets, loss functions, embeddings, random "
        "forests, learning rates, language models, feature stores, confusion matrices",
        "machine learning, TensorFlow, statistics, data cleaning",
    ),
    _topic(
        "technology",
        "gadgets",
        "smart watches, headphones, folding phones, e-readers, drones, game consoles, battery "
        "packs, tablets, action cameras, wireless chargers",
        "soldering, circuit design, product testing, 3D printing",
    ),
    _topic(
        "food",
        "baking",
        "sourdough starters, croissants, rye loaves, fruit tarts, pizza stones, meringues, "
        "cinnamon buns, stand mixers, wholemeal flours, birthday cakes",
        "pastry making, bread scoring, recipe development, cake decorating",
    ),
    _topic(
        "food",
        "vegetarian cooking",
        "lentil stews, roasted vegetables, chickpea curries, mushroom risottos, tofu skewers, "
        "grain bowls, bean salads, pumpkin soups, herb sauces, stuffed peppers",
        "menu planning, fermentation, knife skills, nutrition",
    ),
    _topic(
        "food",
        "coffee",
        "espresso machines, light roasts, pour-over cones, hand grinders, flat whites, green "
        "beans, milk pitchers, cold brews, cupping notes, paper filters",
        "latte art, coffee roasting, sensory tasting, cafe management",
    ),
    _topic(
        "travel",
        "hiking",
        "mountain huts, trail maps, ridge walks, rain jackets, hiking boots, alpine lakes, long "
        "distance paths, trekking poles, summit mornings, forest trails",
        "map reading, first aid, mountain guiding, route planning",
    ),
    _topic(
        "travel",
        "city breaks",
        "night trains, old quarters, museum passes, rooftop bars, street markets, tram lines, "
        "walking tours, river cruises, boutique hotels, weekend tickets",
        "travel writing, tour guiding, itinerary design, Portuguese",
    ),
    _topic(
        "travel",
        "sailing",
        "spinnakers, harbour towns, tide tables, wooden dinghies, anchor chains, offshore races, "
        "storm sails, island crossings, knots, racing yachts",
        "navigation, sail repair, boat maintenance, weather routing",
    ),
    _topic(
        "sport",
        "running",
        "tempo runs, marathon plans, running shoes, recovery days, hill repeats, trail races, "
        "heart rate zones, long runs, energy gels, parkruns",
        "endurance coaching, gait analysis, training plans, sports massage",
    ),
    _topic(
        "sport",
        "cycling",
        "gravel bikes, mountain passes, disc brakes, power meters, bike lanes, cobbled classics, "
        "tubeless tyres, group rides, touring panniers, time trials",
        "bicycle repair, wheel building, race tactics, bike fitting",
    ),
    _topic(
        "sport",
        "football",
        "pressing traps, penalty shootouts, youth academies, transfer windows, away games, "
        "corner routines, back threes, cup finals, goalkeepers, local derbies",
        "match analysis, refereeing, youth coaching, talent scouting",
    ),
    _topic(
        "music",
        "jazz",
        "bebop standards, walking bass lines, saxophone solos, late night sessions, blue notes, "
        "big bands, brushed drums, piano trios, live albums, jam sessions",
        "improvisation, music theory, saxophone, band leading",
    ),
    _topic(
        "music",
        "classical music",
        "string quartets, piano sonatas, symphonies, opera houses, cello suites, concert halls, "
        "baroque trumpets, song cycles, violin concertos, conductors",
        "sight reading, conducting, violin, score editing",
    ),
    _topic(
        "music",
        "guitar",
        "fingerstyle patterns, tube amplifiers, slide guitars, pedal boards, power chords, open "
        "tunings, blues scales, acoustic strings, riffs, loop stations",
        "songwriting, audio mixing, guitar repair, stage sound",
    ),
    _topic(
        "science",
        "astronomy",
        "exoplanets, dark skies, meteor showers, radio telescopes, neutron stars, lunar craters, "
        "space probes, spiral galaxies, star charts, solar eclipses",
        "spectroscopy, orbital mechanics, telescope building, scientific writing",
    ),
    _topic(
        "science",
        "biology",
        "gene editors, coral reefs, pollinators, fungal networks, stem cells, migrating birds, "
        "gut bacteria, tree rings, deep sea fish, field notebooks",
        "microscopy, PCR, field surveys, bioinformatics",
    ),
    _topic(
        "science",
        "climate",
        "heat pumps, ice cores, carbon budgets, wind farms, ocean currents, peat bogs, solar "
        "roofs, flood maps, green grids, weather balloons",
        "climate modelling, energy auditing, remote sensing, policy analysis",
    ),
    _topic(
        "home",
        "gardening",
        "tomato seedlings, compost heaps, rose beds, raised beds, herb spirals, fruit trees, "
        "winter hedges, wildflower meadows, cold frames, garden ponds",
        "garden design, pruning, soil testing, plant propagation",
    ),
    _topic(
        "home",
        "woodworking",
        "dovetail joints, hand planes, oak tables, bench vices, lathes, oil finishes, "
        "marking gauges, chisels, walnut boxes, workshop jigs",
        "cabinet making, wood turning, technical drawing, furniture restoration",
    ),
    _topic(
        "home",
        "interior design",
        "linen curtains, small kitchens, reading lamps, colour palettes, open shelves, rugs, "
        "floor plans, vintage chairs, house plants, hallway mirrors",
        "space planning, lighting design, upholstery, colour consulting",
    ),
    _topic(
        "business",
        "investing",
        "index funds, bond ladders, dividend shares, pension plans, risk premiums, balance "
        "sheets, market cycles, savings rates, currency hedges, interest rates",
        "financial modelling, portfolio management, accounting, risk analysis",
    ),
    _topic(
        "business",
        "startups",
        "pitch decks, seed rounds, first customers, product roadmaps, co-founders, business "
        "models, growth loops, hiring plans, burn rates, early teams",
        "fundraising, product management, user interviews, business planning",
    ),
    _topic(
        "business",
        "marketing",
        "brand stories, landing pages, email campaigns, search adverts, customer surveys, loyalty "
        "programmes, content calendars, price tests, social feeds, press kits",
        "copywriting, search engine optimisation, campaign planning, market research",
    ),
)

CATEGORIES = tuple(dict.fromkeys(topic.category for topic in TOPICS))
CATEGORY_OF = tuple(CATEGORIES.index(topic.category) for topic in TOPICS)

# {a} and {b} are things of the item's topic, {c} a thing of its second topic
TITLES = (
    "The quiet art of {a}",
    "{A} and {b}: what to know first",
    "Why {a} matter more than you think",
    "A beginner's guide to {a}",
    "{N} lessons from {a}",
    "Inside {a}: notes on {b}",
    "{A} for busy people",
    "What {a} can teach us about {c}",
    "Rethinking {a}, from {b} up",
    "From {a} to {b} in {n} weeks",
    "The truth about {a}",
    "How {a} changed the way we see {c}",
    "{N} mistakes people make with {a}",
    "In praise of {a}",
    "{A}, {b} and the year ahead",
    "Do {a} still need {b}?",
)

SENTENCES = (
    "Most people meet {a} long before they understand {b}.",
    "We spent {n} weeks with {a} and came back with better questions about {b}.",
    "Good {a} begin with patience, and {b} reward it.",
    "There is a lot of advice on {a}, and little of it mentions {b}.",
    "Readers often ask how {a} and {b} fit together.",
    "The cheapest way into {topic} is to start with {a}.",
    "Anyone serious about {topic} keeps {a} within reach.",
    "Ask {n} experts about {a} and you will hear {n} opinions.",
    "Oddly enough, {c} explain why {a} work as well as they do.",
    "Newcomers to {topic} can skip {a} and go straight to {b}.",
    "The {category} world has argued about {a} for years.",
    "Our favourite part is how {a} make {b} look easy.",
)

CV_OPENINGS = (
    "{Level} professional with {n} years in {topic}.",
    "I have worked around {topic} for {n} years.",
    "{Level} specialist who came to {topic} by accident and stayed.",
)

CV_SENTENCES = (
    "Daily work with {s}, and some {t}.",
    "Known in the team for {s}.",
    "Led a project on {a} that needed {s} and {t}.",
    "Trained colleagues in {s}.",
    "Certified in {s} since {year}.",
    "Responsible for {a}, which called for {s}.",
)

CV_CLOSINGS = (
    "Outside work I follow {topic}, above all {a}.",
    "In my free time: {topic} and {a}.",
    "Away from the desk you will find me with {a}.",
)

LEVELS = ("junior", "experienced", "senior", "independent", "curious")
NUMBERS = ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve")
COUNTRIES = ("BR", "DE", "FR", "GB", "IN", "JP", "NG", "US")
DEVICES = ("desktop", "phone", "tablet")
REACTIONS = ("none", "like", "dislike")
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
LANGUAGES = ("en", "es", "de", "pt", "hi", "fr", "ja")
SURFACES = ("home", "search", "related")
ACTIONS = ("view", "click", "save", "cart", "purchase", "hide")
