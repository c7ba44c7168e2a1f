CREATE TABLE public.cluster_status (
    name text NOT NULL,
    identity text NOT NULL,
    owner text NOT NULL,
    status text NOT NULL,
    why text NOT NULL,
    listed text NOT NULL,
    owner_id bigint NOT NULL,
    last_poll double precision NOT NULL,
    last_success double precision,
    changed_at double precision NOT NULL
);
CREATE TABLE public.clusters (
    name text NOT NULL,
    identity text NOT NULL,
    revision bigint NOT NULL,
    baseline_at double precision
);
CREATE TABLE public.discoveries (
    name text NOT NULL,
    clusters text NOT NULL
);
CREATE TABLE public.jobs (
    cluster text NOT NULL,
    job_id text NOT NULL,
    facts text NOT NULL,
    database text DEFAULT ''::text NOT NULL,
    collection text DEFAULT ''::text NOT NULL,
    state text DEFAULT ''::text NOT NULL,
    reason text DEFAULT ''::text NOT NULL,
    stalled boolean DEFAULT false NOT NULL,
    finished_at double precision,
    missing_since double precision,
    incomplete boolean DEFAULT false NOT NULL
);
CREATE TABLE public.outcomes (
    cluster text NOT NULL,
    database text NOT NULL,
    collection text NOT NULL,
    last_failed boolean,
    last_completed_at double precision,
    last_finished_at double precision,
    last_aborted boolean DEFAULT false NOT NULL
);
CREATE TABLE public.schema (
    version integer NOT NULL
);
CREATE TABLE public.transitions (
    id bigint NOT NULL,
    cluster text NOT NULL,
    cluster_id text NOT NULL,
    database text NOT NULL,
    collection text NOT NULL,
    job_id text NOT NULL,
    to_state text NOT NULL,
    reason text NOT NULL,
    from_state text,
    at double precision NOT NULL,
    progress double precision,
    failure text,
    duration double precision NOT NULL,
    unexpected boolean NOT NULL,
    logged boolean DEFAULT false NOT NULL,
    recorded_at double precision
);
CREATE SEQUENCE public.transitions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.transitions_id_seq OWNED BY public.transitions.id;
ALTER TABLE ONLY public.transitions ALTER COLUMN id SET DEFAULT nextval('public.transitions_id_seq'::regclass);
INSERT INTO public.clusters VALUES ('books', 'in01-books//', 2, 1795540030);
INSERT INTO public.discoveries VALUES ('clusters.d', '[]');
INSERT INTO public.jobs VALUES ('books', '2', '{"job_id":"2","collection":"songs","state":"completed","first_seen":1795540030.0,"state_since":1795540090.0,"last_change":1795540090.0,"progress":1.0,"imported_rows":5,"total_rows":5,"peak_progress":1.0,"peak_rows":5,"finished_at":1795540090.0}', '', 'songs', 'completed', '', false, 1795540090, NULL, false);
INSERT INTO public.jobs VALUES ('books', '1', '{"job_id":"1","collection":"poems","state":"importing","first_seen":1795540030.0,"state_since":1795540030.0,"last_change":1795540090.0,"progress":0.3,"peak_progress":0.3,"samples":[[1795540030.0,0.1],[1795540060.0,0.2],[1795540090.0,0.3]]}', '', 'poems', 'importing', '', false, NULL, NULL, false);
INSERT INTO public.jobs VALUES ('books', '3', '{"job_id":"3","collection":"films","state":"failed","first_seen":1795540090.0,"state_since":1795540090.0,"last_change":1795540090.0,"reason":"file not found","failure":"file_not_found","peak_progress":0.0,"finished_at":1795540090.0}', '', 'films', 'failed', 'file not found', false, 1795540090, NULL, false);
INSERT INTO public.outcomes VALUES ('books', '', 'songs', false, 1795540090, 1795540090, false);
INSERT INTO public.outcomes VALUES ('books', '', 'films', true, NULL, 1795540090, false);
INSERT INTO public.schema VALUES (6);
INSERT INTO public.transitions VALUES (1, 'books', 'in01-books', '', 'songs', '2', 'completed', '', 'pending', 1795540090, 1, NULL, 60, false, true, 1795540090);
INSERT INTO public.transitions VALUES (2, 'books', 'in01-books', '', 'films', '3', 'failed', 'file not found', NULL, 1795540090, NULL, 'file_not_found', 0, false, true, 1795540090);
SELECT pg_catalog.setval('public.transitions_id_seq', 2, true);
ALTER TABLE ONLY public.cluster_status
    ADD CONSTRAINT cluster_status_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.clusters
    ADD CONSTRAINT clusters_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.discoveries
    ADD CONSTRAINT discoveries_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (cluster, job_id);
ALTER TABLE ONLY public.outcomes
    ADD CONSTRAINT outcomes_pkey PRIMARY KEY (cluster, database, collection);
ALTER TABLE ONLY public.transitions
    ADD CONSTRAINT transitions_pkey PRIMARY KEY (id);
CREATE INDEX cluster_status_by_change ON public.cluster_status USING btree (changed_at);
CREATE INDEX jobs_by_end ON public.jobs USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX jobs_by_missing ON public.jobs USING btree (missing_since) WHERE (missing_since IS NOT NULL);
CREATE INDEX jobs_by_state ON public.jobs USING btree (state, finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX jobs_incomplete ON public.jobs USING btree (cluster) WHERE incomplete;
CREATE INDEX jobs_listed ON public.jobs USING btree (cluster, missing_since, finished_at, job_id) WHERE ((missing_since IS NULL) AND (finished_at IS NOT NULL));
CREATE INDEX jobs_of_cluster_by_end ON public.jobs USING btree (cluster, finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX jobs_of_cluster_by_state ON public.jobs USING btree (cluster, state, finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX jobs_of_collection_by_end ON public.jobs USING btree (cluster, database, collection, finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX jobs_unfinished ON public.jobs USING btree (cluster) WHERE (finished_at IS NULL);
CREATE INDEX transitions_by_job ON public.transitions USING btree (cluster, job_id);
CREATE INDEX transitions_by_time ON public.transitions USING btree (at);
CREATE INDEX transitions_not_logged ON public.transitions USING btree (recorded_at) WHERE (NOT logged);
