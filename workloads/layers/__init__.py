"""LongCat-Flash as single-device PyTorch modules; expert parallelism enters only through the exchange of a MoE.

Letters of the shape suffixes, everywhere in this package:

B sequences, S new positions of a sequence, C positions in context (cached and new), T = B * S tokens;
D hidden, F width of an FFN, H heads, A and P head dims without and with rope, V value head dim;
Q width of the query latent, L of the key-value latent, X = L + P of a cache entry;
N routed experts, Z zero-computation experts, E = N + Z the pool, K choices per token;
R ranks, G = N / R experts held by a rank, M rows (one per dispatched choice).
"""
