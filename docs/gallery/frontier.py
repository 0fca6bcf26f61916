"""What continuity costs: how fast a policy map moves against how much it loses at worst"""

import jaxcliff as jc

ds = jc.studies.frontier()
figure = jc.figures.frontier(ds)
