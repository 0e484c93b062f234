-- TFX Workbench run file, schema 3. One file is one run. Open it with sqlite3, DuckDB or pandas.
-- Units are in the names. A reading that could not be had is NULL and has its reason in `missing`; 0 means zero.
-- SQLite has no NaN: a loss that is not a number is NULL too, and an event names its step.
-- An array blob is b"TA", flags (1: zlib), dimensions, dtype as numpy writes it in 4 bytes ("<f4"), the shape as
-- int64, then the numbers; all little endian (arrays.py).
PRAGMA application_id = 1413896241;  -- 0x54465831, "TFX1"
PRAGMA user_version = 3;

CREATE TABLE run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  run_id TEXT NOT NULL,               -- UUID
  name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('queued','running','finished','failed','stopped','interrupted')),
  reason TEXT NOT NULL DEFAULT '',    -- the outcome in words
  created_at TEXT NOT NULL,           -- ISO 8601, UTC
  started_at TEXT, ended_at TEXT,
  queue_position REAL NOT NULL DEFAULT 0,
  comparison TEXT NOT NULL DEFAULT '',
  config_toml TEXT NOT NULL,          -- as the user wrote it
  config_json TEXT NOT NULL,          -- resolved: every slot, every option
  pid INTEGER, pid_started REAL,      -- writer process and its start time (seconds since the epoch)
  boot_id TEXT,
  engine_version TEXT NOT NULL,
  engine_revision TEXT                -- git revision of the engine, where there is one
);

-- key/value facts (value is JSON): device, driver, torch, clocks, corpus sha256, layer names, params, flops ...
CREATE TABLE fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE missing (key TEXT PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
-- figures that were predicted, beside those measured
CREATE TABLE prediction (key TEXT PRIMARY KEY, value REAL, level TEXT NOT NULL) WITHOUT ROWID;

-- one wide row per optimiser step
CREATE TABLE step (
  seq INTEGER PRIMARY KEY,            -- order of writing
  step INTEGER NOT NULL,              -- 1 is the first optimiser update of the run
  process INTEGER NOT NULL DEFAULT 0, -- which worker process of the run: 0 did it, later ones measured time once more
  rank INTEGER NOT NULL DEFAULT 0,
  round INTEGER NOT NULL DEFAULT 0,   -- of an interleaved comparison, from 1; fact 'comparison' says which part it has
  block INTEGER NOT NULL DEFAULT 0,   -- within the round, from 1; 0 is the turn that warms a process up
  phase TEXT NOT NULL,
  taint TEXT,                         -- why this step does not count in time statistics
  t_ms REAL NOT NULL,                 -- end of the step, since the worker took the run
  loss REAL,
  step_ms REAL,
  tokens INTEGER,
  tokens_per_s REAL GENERATED ALWAYS AS (tokens * 1000.0 / step_ms) VIRTUAL,
  learning_rate REAL,
  grad_norm REAL,
  update_ratio REAL,
  allocated_bytes INTEGER,            -- maximum within the step
  reserved_bytes INTEGER,
  device_bytes INTEGER,
  rss_bytes INTEGER,
  layer_grad_norm BLOB,               -- array blob [layers]; names in fact 'layer_names'
  layer_update_ratio BLOB
);

-- min/max/sum/count over 16^level rows of `step`: bucket b holds seq b * 16^level + 1 ... (b + 1) * 16^level, and is
-- written when it is complete, in the transaction of its last step. data is an array blob float64 [columns, 4], columns
-- in fact 'rollup_columns'; minimum and maximum of a column without a reading are NaN.
CREATE TABLE rollup (
  level INTEGER NOT NULL, bucket INTEGER NOT NULL,
  first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, t_ms REAL NOT NULL,
  data BLOB NOT NULL,
  layer_grad_norm BLOB,               -- array blob float64 [3, layers]: maximum, sum and count over the bucket
  layer_update_ratio BLOB,
  PRIMARY KEY (level, bucket)
) WITHOUT ROWID;

-- the split of one step's memory into categories (a probe step)
CREATE TABLE memory_probe (
  seq INTEGER PRIMARY KEY,
  step INTEGER NOT NULL, phase TEXT NOT NULL, t_ms REAL NOT NULL,
  peak_bytes INTEGER NOT NULL,        -- allocated, at its maximum within the step
  parameters INTEGER NOT NULL, gradients INTEGER NOT NULL, optimizer INTEGER NOT NULL, activations INTEGER NOT NULL,
  adapters INTEGER NOT NULL, temporary INTEGER NOT NULL, other INTEGER NOT NULL,  -- at the peak; they add up to it
  category_peak BLOB NOT NULL,        -- array blob int64 [7]: each category's own maximum
  timeline_ms BLOB NOT NULL,          -- array blob float64 [n]: time within the step
  timeline BLOB NOT NULL,             -- array blob int64 [n, 7]: bytes by category; thinned, all highest moments kept
  phases TEXT NOT NULL                -- JSON [[name, start_ms, end_ms], ...]: forward, backward, optimizer
);

-- attention maps of one sample, one row per layer
CREATE TABLE attention (
  capture INTEGER NOT NULL, layer INTEGER NOT NULL,
  step INTEGER NOT NULL, t_ms REAL NOT NULL,
  pool INTEGER NOT NULL DEFAULT 1,    -- side of the square of weights that one stored number is the mean of
  head INTEGER,                       -- NULL: all heads; else this head alone, at full resolution
  heads INTEGER NOT NULL, queries INTEGER NOT NULL, keys INTEGER NOT NULL,  -- shape of `weights`
  weights BLOB NOT NULL,              -- array blob float16 [heads, queries, keys], compressed
  tokens BLOB,                        -- array blob int32 [T]: the sample's token ids, on the first row of a capture
  PRIMARY KEY (capture, layer)
);

CREATE TABLE evaluation (
  seq INTEGER PRIMARY KEY, step INTEGER NOT NULL, t_ms REAL NOT NULL,
  held_out_loss REAL, tokens INTEGER NOT NULL,  -- nats, and over how many targets it is the mean
  accuracy REAL,                      -- since schema 2: share of them that got the highest score, 0 to 1
  bits_per_byte REAL                  -- since schema 2: of text, the same loss for each byte
);

CREATE TABLE device_sample (
  seq INTEGER PRIMARY KEY, t_ms REAL NOT NULL,
  cpu_percent REAL, ram_used_bytes INTEGER, rss_bytes INTEGER,
  utilisation_percent REAL, memory_used_bytes INTEGER, temperature_c REAL, power_w REAL, sm_clock_mhz REAL,
  -- since schema 3:
  others_percent REAL,                -- of all processors, what programs that are not ours took since the last sample
  energy_j REAL,                      -- the device's own counter, from wherever it began
  clock_events INTEGER,               -- why its clocks are not at their highest: NVML's bits
  other_processes INTEGER             -- that use the device, or hold it where the driver does not say what they do
);

-- what happened, in order; args is JSON for the template
CREATE TABLE event (
  seq INTEGER PRIMARY KEY, t_ms REAL NOT NULL, at TEXT NOT NULL,
  kind TEXT NOT NULL,                 -- phase, control, warning, problem, state
  code TEXT NOT NULL, template TEXT NOT NULL, args TEXT NOT NULL DEFAULT '{}'
);

CREATE TABLE log (seq INTEGER PRIMARY KEY, t_ms REAL NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL);

-- since schema 3: what was proved of each technique on the run's own model
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, t_ms REAL NOT NULL,
  slot TEXT NOT NULL, technique TEXT NOT NULL,
  claim TEXT NOT NULL,                -- what the technique's file says that it does
  ok INTEGER,                         -- 1: it does; 0: it does not; NULL: it could not be tried, `template` says why
  code TEXT NOT NULL, template TEXT NOT NULL, args TEXT NOT NULL DEFAULT '{}'  -- the evidence
);

-- since schema 3: where the time of a step goes, from the phase `profile`; everything is per step. A part is one of the
-- step (data, forward, loss, backward, recompute, measure, optimizer, other: what is between them), a component the slot
-- of the technique at work (attention, feedforward, norm ...) or one of protocol/components.py. `recompute` and an
-- optimizer that works within the backward pass are parts of their own, not in `backward`. How it is measured:
-- measure/profiling.py; the facts 'profile' {step_ms, profiled_ms, marked_steps, profiled_steps} belong to it.
CREATE TABLE profile_part (
  seq INTEGER PRIMARY KEY,
  part TEXT NOT NULL, component TEXT NOT NULL,
  ms REAL NOT NULL,                   -- of a step without profiler: all rows add up to profile.step_ms
  host_ms REAL NOT NULL,              -- on the host, as profiled: the profiler's own cost is in it
  device_ms REAL,                     -- of its kernels on the device; NULL where the host is the device
  calls REAL NOT NULL,                -- of operators that do work (measure/operators.py)
  flops REAL NOT NULL,                -- of matrix products and attention, counted from the shapes that ran
  declared_flops REAL,                -- the same as its technique declares it; NULL where nothing says it by component
  elements REAL NOT NULL,             -- numbers written by other operators: at least one operation each
  bytes REAL NOT NULL                 -- read and written, if every operator does it once: an upper bound with caches
);

-- since schema 3: the operators that take the most time, by where they ran; everything is per step
CREATE TABLE operator (
  seq INTEGER PRIMARY KEY,
  name TEXT NOT NULL, part TEXT NOT NULL, component TEXT NOT NULL,
  calls REAL NOT NULL,
  host_ms REAL NOT NULL,              -- with what it calls itself, as profiled
  device_ms REAL,                     -- of the kernels that it starts; NULL where the host is the device
  flops REAL NOT NULL, elements REAL NOT NULL, bytes REAL NOT NULL  -- as in profile_part
);

-- since schema 3: the kernels and copies of a device that take the most time; everything is per step
CREATE TABLE kernel (
  seq INTEGER PRIMARY KEY,
  name TEXT NOT NULL, part TEXT NOT NULL, component TEXT NOT NULL,
  calls REAL NOT NULL, device_ms REAL NOT NULL
);

-- since schema 3: whose memory a split is, at its peak: one row for each module and slot of the step's memory_probe.
-- The rows of a step add up to the split, category by category. A module is named as in the model ("" is none's, such as
-- the batch), a slot says which technique's work it is (with the options in config_json); what made a block: the module
-- at work then, in the forward pass, its gradient or its recomputation; of weights, gradients, state: who holds them.
CREATE TABLE memory_module (
  seq INTEGER PRIMARY KEY,
  step INTEGER NOT NULL, module TEXT NOT NULL, slot TEXT NOT NULL,
  parameters INTEGER NOT NULL, gradients INTEGER NOT NULL, optimizer INTEGER NOT NULL, activations INTEGER NOT NULL,
  adapters INTEGER NOT NULL, temporary INTEGER NOT NULL, other INTEGER NOT NULL
);

-- since schema 3: the largest blocks of every module at the peak of one split
CREATE TABLE memory_block (
  seq INTEGER PRIMARY KEY,
  step INTEGER NOT NULL, module TEXT NOT NULL, slot TEXT NOT NULL, category TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  name TEXT NOT NULL,                 -- of a weight, gradient, state or buffer within its module; else empty
  operator TEXT NOT NULL,             -- that made it in this step; else empty
  shape TEXT, dtype TEXT NOT NULL     -- JSON; NULL and empty where no operator was seen to use it
);

-- since schema 3: a split's timeline by slot
CREATE TABLE memory_slot (
  seq INTEGER PRIMARY KEY,
  step INTEGER NOT NULL,
  slots TEXT NOT NULL,                -- JSON: the names
  timeline BLOB NOT NULL              -- array blob int64 [n, slots], at the times of memory_probe.timeline_ms
);

-- since schema 3: one profiled step as torch's profiler writes it for chrome://tracing and ui.perfetto.dev
CREATE TABLE trace (
  seq INTEGER PRIMARY KEY,
  step INTEGER NOT NULL,
  json_gz BLOB NOT NULL               -- compressed by gzip
);

-- since schema 3: what people say of the run: key 'note' (text) and 'tags' (JSON list of texts)
CREATE TABLE annotation (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
