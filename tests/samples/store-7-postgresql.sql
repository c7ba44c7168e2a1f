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
CREATE TABLE public.progress_samples (
    cluster text NOT NULL,
    job_id text NOT NULL,
    slot bigint NOT NULL,
    at double precision NOT NULL,
    state text NOT NULL,
    progress double precision
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
INSERT INTO public.clusters VALUES ('books', 'in01-books//', 24, 1795540030);
INSERT INTO public.jobs VALUES ('books', '21', '{"job_id":"21","collection":"poems","state":"failed","first_seen":1795541410.0,"state_since":1795541440.0,"last_change":1795541440.0,"reason":"no such file","failure":"file_not_found","peak_progress":0.0,"finished_at":1795541440.0,"missing_since":1795541470.0}', '', 'poems', 'failed', 'no such file', false, 1795541440, 1795541470, false);
INSERT INTO public.jobs VALUES ('books', '22', '{"job_id":"22","collection":"poems","state":"failed","first_seen":1795541470.0,"state_since":1795541500.0,"last_change":1795541500.0,"reason":"aborted by user","failure":"aborted","peak_progress":0.0,"finished_at":1795541500.0,"missing_since":1795541530.0}', '', 'poems', 'failed', 'aborted by user', false, 1795541500, 1795541530, false);
INSERT INTO public.jobs VALUES ('books', '23', '{"job_id":"23","collection":"poems","state":"failed","first_seen":1795541530.0,"state_since":1795541560.0,"last_change":1795541560.0,"reason":"no such file","failure":"file_not_found","peak_progress":0.0,"finished_at":1795541560.0}', '', 'poems', 'failed', 'no such file', false, 1795541560, NULL, false);
INSERT INTO public.jobs VALUES ('books', '4', '{"job_id":"4","collection":"books","state":"completed","first_seen":1795540300.0,"state_since":1795540420.0,"last_change":1795540420.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540420.0}', '', 'books', 'completed', '', false, 1795540420, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '6', '{"job_id":"6","collection":"books","state":"completed","first_seen":1795540630.0,"state_since":1795540810.0,"last_change":1795540810.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540810.0}', '', 'books', 'completed', '', false, 1795540810, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '2', '{"job_id":"2","collection":"books","state":"completed","first_seen":1795540090.0,"state_since":1795540150.0,"last_change":1795540150.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540150.0}', '', 'books', 'completed', '', false, 1795540150, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '3', '{"job_id":"3","collection":"books","state":"completed","first_seen":1795540180.0,"state_since":1795540270.0,"last_change":1795540270.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540270.0}', '', 'books', 'completed', '', false, 1795540270, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '1', '{"job_id":"1","collection":"books","state":"completed","first_seen":1795540030.0,"state_since":1795540060.0,"last_change":1795540060.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540060.0}', '', 'books', 'completed', '', false, 1795540060, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '5', '{"job_id":"5","collection":"books","state":"completed","first_seen":1795540450.0,"state_since":1795540600.0,"last_change":1795540600.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540600.0}', '', 'books', 'completed', '', false, 1795540600, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '7', '{"job_id":"7","collection":"books","state":"completed","first_seen":1795540840.0,"state_since":1795541050.0,"last_change":1795541050.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795541050.0}', '', 'books', 'completed', '', false, 1795541050, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '8', '{"job_id":"8","collection":"books","state":"completed","first_seen":1795541080.0,"state_since":1795541320.0,"last_change":1795541320.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795541320.0}', '', 'books', 'completed', '', false, 1795541320, 1795541560, false);
INSERT INTO public.jobs VALUES ('books', '20', '{"job_id":"20","collection":"poems","state":"completed","first_seen":1795541350.0,"state_since":1795541380.0,"last_change":1795541380.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795541380.0}', '', 'poems', 'completed', '', false, 1795541380, 1795541560, false);
INSERT INTO public.outcomes VALUES ('books', '', 'books', false, 1795541320, 1795541320, false);
INSERT INTO public.outcomes VALUES ('books', '', 'poems', true, 1795541380, 1795541560, false);
INSERT INTO public.schema VALUES (7);
INSERT INTO public.transitions VALUES (1, 'books', 'in01-books', '', 'books', '1', 'completed', '', 'importing', 1795540060, 1, NULL, 30, false, true, 1795540060);
INSERT INTO public.transitions VALUES (2, 'books', 'in01-books', '', 'books', '2', 'importing', '', NULL, 1795540090, NULL, NULL, 0, false, true, 1795540090);
INSERT INTO public.transitions VALUES (3, 'books', 'in01-books', '', 'books', '2', 'completed', '', 'importing', 1795540150, 1, NULL, 60, false, true, 1795540150);
INSERT INTO public.transitions VALUES (4, 'books', 'in01-books', '', 'books', '3', 'importing', '', NULL, 1795540180, NULL, NULL, 0, false, true, 1795540180);
INSERT INTO public.transitions VALUES (5, 'books', 'in01-books', '', 'books', '3', 'completed', '', 'importing', 1795540270, 1, NULL, 90, false, true, 1795540270);
INSERT INTO public.transitions VALUES (6, 'books', 'in01-books', '', 'books', '4', 'importing', '', NULL, 1795540300, NULL, NULL, 0, false, true, 1795540300);
INSERT INTO public.transitions VALUES (7, 'books', 'in01-books', '', 'books', '4', 'completed', '', 'importing', 1795540420, 1, NULL, 120, false, true, 1795540420);
INSERT INTO public.transitions VALUES (8, 'books', 'in01-books', '', 'books', '5', 'importing', '', NULL, 1795540450, NULL, NULL, 0, false, true, 1795540450);
INSERT INTO public.transitions VALUES (9, 'books', 'in01-books', '', 'books', '5', 'completed', '', 'importing', 1795540600, 1, NULL, 150, false, true, 1795540600);
INSERT INTO public.transitions VALUES (10, 'books', 'in01-books', '', 'books', '6', 'importing', '', NULL, 1795540630, NULL, NULL, 0, false, true, 1795540630);
INSERT INTO public.transitions VALUES (11, 'books', 'in01-books', '', 'books', '6', 'completed', '', 'importing', 1795540810, 1, NULL, 180, false, true, 1795540810);
INSERT INTO public.transitions VALUES (12, 'books', 'in01-books', '', 'books', '7', 'importing', '', NULL, 1795540840, NULL, NULL, 0, false, true, 1795540840);
INSERT INTO public.transitions VALUES (13, 'books', 'in01-books', '', 'books', '7', 'completed', '', 'importing', 1795541050, 1, NULL, 210, false, true, 1795541050);
INSERT INTO public.transitions VALUES (14, 'books', 'in01-books', '', 'books', '8', 'importing', '', NULL, 1795541080, NULL, NULL, 0, false, true, 1795541080);
INSERT INTO public.transitions VALUES (15, 'books', 'in01-books', '', 'books', '8', 'completed', '', 'importing', 1795541320, 1, NULL, 240, false, true, 1795541320);
INSERT INTO public.transitions VALUES (16, 'books', 'in01-books', '', 'poems', '20', 'importing', '', NULL, 1795541350, NULL, NULL, 0, false, true, 1795541350);
INSERT INTO public.transitions VALUES (17, 'books', 'in01-books', '', 'poems', '20', 'completed', '', 'importing', 1795541380, 1, NULL, 30, false, true, 1795541380);
INSERT INTO public.transitions VALUES (18, 'books', 'in01-books', '', 'poems', '21', 'importing', '', NULL, 1795541410, NULL, NULL, 0, false, true, 1795541410);
INSERT INTO public.transitions VALUES (19, 'books', 'in01-books', '', 'poems', '21', 'failed', 'no such file', 'importing', 1795541440, NULL, 'file_not_found', 30, false, true, 1795541440);
INSERT INTO public.transitions VALUES (20, 'books', 'in01-books', '', 'poems', '22', 'importing', '', NULL, 1795541470, NULL, NULL, 0, false, true, 1795541470);
INSERT INTO public.transitions VALUES (21, 'books', 'in01-books', '', 'poems', '22', 'failed', 'aborted by user', 'importing', 1795541500, NULL, 'aborted', 30, false, true, 1795541500);
INSERT INTO public.transitions VALUES (22, 'books', 'in01-books', '', 'poems', '23', 'importing', '', NULL, 1795541530, NULL, NULL, 0, false, true, 1795541530);
INSERT INTO public.transitions VALUES (23, 'books', 'in01-books', '', 'poems', '23', 'failed', 'no such file', 'importing', 1795541560, NULL, 'file_not_found', 30, false, true, 1795541560);
SELECT pg_catalog.setval('public.transitions_id_seq', 23, true);
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
ALTER TABLE ONLY public.progress_samples
    ADD CONSTRAINT progress_samples_pkey PRIMARY KEY (cluster, job_id, slot);
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
CREATE INDEX progress_samples_by_time ON public.progress_samples USING btree (at);
CREATE INDEX transitions_by_job ON public.transitions USING btree (cluster, job_id);
CREATE INDEX transitions_by_time ON public.transitions USING btree (at);
CREATE INDEX transitions_not_logged ON public.transitions USING btree (recorded_at) WHERE (NOT logged);
