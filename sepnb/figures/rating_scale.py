"""What listeners are asked to rate, and the words of the scale: for the test's page and for the figures of it."""

# What a rating answers, and how it is asked. More is better in all of them: nobody has to turn a scale round.
QUESTIONS = {
    "quality": "Overall quality: 100 is as good as the reference",
    "interference": "Freedom from other instruments: 100 is no bleed",
    "artefacts": "Freedom from noise and artefacts: 100 is no gurgling, no dullness",
}
WORDS = ("bad", "poor", "fair", "good", "excellent")  # of BS.1534's scale, each for 20 points


def asked_for(question: str) -> str:
    """What a question is about, as a title: "Overall quality". A question of another test is its own title."""
    return QUESTIONS.get(question, question).split(":")[0]
