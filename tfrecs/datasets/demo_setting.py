"""The settings of the demo worlds: a content site of 60 days, a content shop of a year."""

from dataclasses import dataclass

from tfrecs import checks

PAGE = 5  # impressions on a page, at positions 1 to 5


@dataclass(frozen=True)
class World:
    """What tells one generated world from another; all else is one generator.

    Args:
        days: How long it is watched.
        session_end: Chance that an impression is the last of its session.
        turn: Chance that a session turns to the next topic of the category at an impression.
        season: How far a topic's share rises and falls over the days, from 0 to under 1.
        burst: How high the viral peak after upload is, as a multiple of an item's usual weight.
        liking: Logit of a click that one deviation of the match of taste and latent is worth.
        sought: Share of the sessions that begin with a search.
        related: Share of the impressions, but for searches, that stand beside what was just shown.
        once: Share of the users that come once, by one click.
        purchase: Logit of a purchase before pleasure and price.
        shop: Whether items have a latent style and vibe, a language and a viral peak, users tastes
            and an age, and events an action and a surface.
    """

    days: int = 60
    session_end: float = 0.1
    turn: float = 0.05
    season: float = 0.0
    burst: float = 0.0
    liking: float = 0.0
    sought: float = 0.0
    related: float = 0.0
    once: float = 0.0
    purchase: float = -4.0
    shop: bool = False

    def __post_init__(self) -> None:
        checks.positive("days", self.days)
        for name in ("season", "turn", "sought", "related", "once"):
            share = getattr(self, name)
            if not 0.0 <= share < 1.0:
                raise ValueError(checks.expected(name, "a share from 0 to under 1", share))
        if not 0.0 < self.session_end <= 1.0:
            expectation = "a share over 0, to 1"
            raise ValueError(checks.expected("session_end", expectation, self.session_end))
        for name in ("burst", "liking"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(checks.expected(name, "0 or more", getattr(self, name)))

    @property
    def of_search(self) -> float:
        """The share of impressions that are results of a search: first pages of sessions."""
        return self.sought * (1.0 - (1.0 - self.session_end) ** PAGE)

    @property
    def turned(self) -> float:
        """The share of the other impressions that come after the session's turn.

        Results of a search do not turn: a session that began with one turns after its first page.
        """
        # without searches: the sum over i of e (1 - e)^i (1 - t)^i is before the turn
        straight = self.session_end / (1.0 - (1.0 - self.session_end) * (1.0 - self.turn))
        past = (1.0 - self.session_end) ** PAGE  # that a session outlasts its first page
        straight *= (1.0 - self.sought) + self.sought * past * (1.0 - self.turn)
        return 1.0 - straight / (1.0 - self.of_search)


SITE = World()
SHOP = World(
    days=365,
    season=0.5,
    burst=10.0,
    liking=1.3,
    sought=0.25,
    related=0.2,
    once=0.05,
    purchase=-7.5,
    shop=True,
)
