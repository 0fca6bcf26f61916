"""The atlas of a problem: its chapters, its verdict, its folder."""
