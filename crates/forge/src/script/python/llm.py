"""Language models, which `ai_models` grants."""

from dayfly.bridge import call

DEFAULTS = {
    "max-tokens": 100, "repeat-penalty": 1.1, "repeat-penalty-last-n-token-count": 64, "temperature": 0.8,
    "top-k": 40, "top-p": 0.9,
}  # fmt: skip


class Answer:
    """What a model said: `text`, and of how many tokens the prompt and the answer are."""

    def __init__(self, told):
        self.text = told["text"]
        self.prompt_tokens = told["usage"]["prompt-token-count"]
        self.generated_tokens = told["usage"]["generated-token-count"]


def infer(model, prompt, **options):
    """What a model says to a prompt. The options are `max_tokens`, `temperature`, `top_p`, `top_k`,
    `repeat_penalty` and `repeat_penalty_last_n_token_count`; without any, the server decides."""
    given = {name.replace("_", "-"): value for name, value in options.items()}
    if unknown := given.keys() - DEFAULTS.keys():
        raise TypeError(f"a model has no option {sorted(unknown)[0].replace('-', '_')!r}")
    return Answer(call("llm.infer", model, prompt, DEFAULTS | given if given else None))


def embed(model, texts):
    """What texts mean to a model: a list of numbers each."""
    return call("llm.generate-embeddings", model, list(texts))["embeddings"]
