"""The bugs that can be planted into ``small_engine``; each name is tested at one place of it."""

FLOW = (
    "runs what nobody needs", "loses a keyword", "swallows a failure", "ignores after", "runs a shared node twice",
    "leaves nested results unresolved", "leaks what is in flight when it fails", "awaits one after the other",
    "releases a value before its second reader", "runs again what returned None", "passes containers as they are",
    "a tail call keeps an old argument", "an omitted argument keeps its old value", "a tail call runs the wrong member",
    "sync calls in reverse order", "raises the last of two failures", "raises the failure that was delivered first",
    "waits for a whole stage", "rebuilds tuples as lists", "merges calls that look alike", "passes literal() unopened",
    "lets the others finish when one failed", "gathers in the order of completion", "prefers the default of an input",
    "makes an eager start of what waits", "a cancelled run swallows the cancellation",
)  # fmt: skip

CHOICES = (
    "compares a condition with is True", "asks the first condition first", "takes a skip for None",
    "takes otherwise where the test is skipped", "evaluates otherwise in any case", "ignores otherwise",
    "runs what a skipped call needs", "ignores a skip that comes through after", "a skip does not wait for the other parts",
    "a skipped graph is None", "runs a route that is not chosen", "runs what a route that is not chosen needs",
    "ignores the default of a router", "prunes a route that has another reader", "runs a node again that is demanded later",
    "sync calls in the order of demand",
)  # fmt: skip

ATTEMPTS = (
    "one attempt too many", "one attempt too few", "retries what on= does not name", "waits after the last attempt",
    "ignores the backoff", "a wait between attempts blocks the rest", "a retry covers the graph that a call returns",
    "a timeout covers all attempts", "ignores a timeout", "never retries a timeout",
)  # fmt: skip

MAPS = (
    "maps in the order of completion", "ignores max_concurrency", "max_concurrency is one too few",
    "starts items in groups", "goes on with items after a failure", "iterates a common value", "items share their attempts",
    "loses the keywords of a map", "a map of nothing is None", "leaves the graphs of items unresolved",
)  # fmt: skip

LIMITS = (
    "ignores constraints", "an amount above the capacity is cut", "an amount that is a node is 0", "lets later requests pass",
    "the items of a map share what one needs", "the last that came is served first", "who waits blocks all names",
    "takes one amount while it waits for the other", "keeps the capacity of what was tried again",
    "gives capacity back between attempts", "gives capacity back while it waits for its start",
    "holds capacity for the graph that a call returns", "ignores rate limits", "only the first attempt keeps its distance",
    "calls do not share their rate limit", "one start in each period", "a burst at the start of each period",
)  # fmt: skip

CACHES = (
    "ignores the cache", "a stored None is a miss", "twins make their cached calls at once", "stores failures",
    "stores the graph that a call returns", "takes capacity before it looks into the cache",
    "the key of a cached call has no keywords", "the key of a cached call has one argument", "the key of a cached call has no task",
    "who waited for a cached value makes the call", "who waited for a cached value gets None",
)  # fmt: skip

RESOURCES = (
    "sets a resource of a step up once a run", "sets a resource of the run up for each graph", "injects what is given",
    "sets up twice what is injected twice", "sets up a replaced resource", "resources do not get what they inject",
    "tears everything down when the run ends", "tears resources of the run down with a step", "tears down in the order of the set-ups",
    "a tear-down that fails is the last", "swallows what fails in a tear-down", "leaves resources when the run fails",
    "a step ends after the tail call", "interrupts a tear-down when it is cancelled", "forgets what was set up when it is cancelled",
)  # fmt: skip

JUMPS = (
    "a jump is a value", "a jump drops its data", "a jump forgets the selector", "a jump computes what is overridden",
    "a jump keeps the arguments of the call that it leaves", "a jump goes to the route that is written first",
    "a jump loses the last of its keywords", "a dict is taken as the first parameter", "data goes to the last parameter",
    "an unknown key ends the loop", "the end of a loop drops its data", "what a route needs is not computed again",
)  # fmt: skip

MODES = (
    "calls what is for a thread itself", "calls what is for a process itself", "a thread keeps all others waiting",
    "threads run one after the other", "a run ends before its threads", "a run that fails ends before its threads",
    "threads have no timeout", "a timeout waits for its thread",
)  # fmt: skip

BUGS = FLOW + CHOICES + ATTEMPTS + MAPS + LIMITS + CACHES + RESOURCES + JUMPS + MODES
