"""Pages about a whole profile: report, scorecard, summary and gallery.

They are made from stored tables and figures. The room may import exchange and the rooms below it;
bench, api and cli may import it.
"""
