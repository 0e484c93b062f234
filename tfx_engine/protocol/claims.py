"""What a technique may claim to do, in words: the names under which a run file keeps what its audit found."""

from __future__ import annotations

from tfx_engine.protocol.marker import tr_mark

CLAIMS: dict[str, str] = {  # "the technique ..."
    "same": tr_mark("changes neither the loss nor any gradient"),
    "same-compiled": tr_mark("computes compiled what it computes as written"),
    "same-steps": tr_mark("moves the weights exactly as its plain form does"),
    "keeps-less": tr_mark("keeps fewer bytes for the backward pass"),
    "runs-again": tr_mark("computes again what it does not keep, and no more"),
    "trains-only": tr_mark("trains what it says and leaves all other weights as they are"),
    "every-gradient": tr_mark("gives every trained weight a gradient"),
    "moves-all": tr_mark("moves every weight that has a gradient"),
    "begins-at-base": tr_mark("begins exactly at the model without it"),
    "merges": tr_mark("can be merged into the weights, and taken out again"),
    "near": tr_mark("stays near a step in float32"),
    "hides": tr_mark("hides the tokens that it should"),
    "shows": tr_mark("shows the tokens that it should"),
    "no-leak": tr_mark("lets nothing of the future into the past"),
    "order": tr_mark("tells the order of the tokens"),
    "no-order": tr_mark("tells nothing of the order of the tokens"),
    "unit": tr_mark("makes queries and keys of unit size"),
    "normed": tr_mark("brings every token to a common scale"),
    "bounded": tr_mark("keeps within its bound"),
    "shares": tr_mark("shares one table with the embedding"),
    "own-table": tr_mark("has a table of its own"),
    "routes": tr_mark("sends each token to the experts with the highest scores"),
    "quiet": tr_mark("draws nothing in evaluation, and does in training"),
    "limits": tr_mark("bounds the gradients of a step"),
    "schedules": tr_mark("sets the learning rate of every step"),
    "begins": tr_mark("draws the first weights as it says"),
    "reference": tr_mark("computes what its own plain form computes"),
}


def words_of(claim: str) -> str:
    """The claim in words; a name that this program does not know as it is."""
    return CLAIMS.get(claim, claim)
