"""Every claim of the theory on random instances: how near to its bound they come, and which bounds are attained"""

import jax

import jaxcliff as jc

jax.config.update("jax_enable_x64", True)
ds = jc.claims.to_dataset(jc.claims.verify(["2.4", "2.7", "2.9", "2.10", "4.2", "C.2"], instances=128))
figure = jc.figures.claims(ds)
