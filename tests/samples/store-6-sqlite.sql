BEGIN TRANSACTION;
CREATE TABLE cluster_status (
	name TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	status TEXT NOT NULL, 
	why TEXT NOT NULL, 
	listed TEXT NOT NULL, 
	owner_id BIGINT NOT NULL, 
	last_poll FLOAT NOT NULL, 
	last_success FLOAT, 
	changed_at FLOAT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE clusters (
	name TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	baseline_at FLOAT, 
	PRIMARY KEY (name)
);
INSERT INTO "clusters" VALUES('books','in01-books//',2,1795540030.0);
CREATE TABLE discoveries (
	name TEXT NOT NULL, 
	clusters TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "discoveries" VALUES('clusters.d','[]');
CREATE TABLE jobs (
	cluster TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	"database" TEXT DEFAULT '' NOT NULL, 
	collection TEXT DEFAULT '' NOT NULL, 
	state TEXT DEFAULT '' NOT NULL, 
	reason TEXT DEFAULT '' NOT NULL, 
	stalled INTEGER DEFAULT 0 NOT NULL, 
	finished_at FLOAT, 
	missing_since FLOAT, 
	incomplete INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (cluster, job_id)
);
INSERT INTO "jobs" VALUES('books','1','{"job_id":"1","collection":"poems","state":"importing","first_seen":1795540030.0,"state_since":1795540030.0,"last_change":1795540090.0,"progress":0.3,"peak_progress":0.3,"samples":[[1795540030.0,0.1],[1795540060.0,0.2],[1795540090.0,0.3]]}','','poems','importing','',0,NULL,NULL,0);
INSERT INTO "jobs" VALUES('books','2','{"job_id":"2","collection":"songs","state":"completed","first_seen":1795540030.0,"state_since":1795540090.0,"last_change":1795540090.0,"progress":1.0,"imported_rows":5,"total_rows":5,"peak_progress":1.0,"peak_rows":5,"finished_at":1795540090.0}','','songs','completed','',0,1795540090.0,NULL,0);
INSERT INTO "jobs" VALUES('books','3','{"job_id":"3","collection":"films","state":"failed","first_seen":1795540090.0,"state_since":1795540090.0,"last_change":1795540090.0,"reason":"file not found","failure":"file_not_found","peak_progress":0.0,"finished_at":1795540090.0}','','films','failed','file not found',0,1795540090.0,NULL,0);
CREATE TABLE outcomes (
	cluster TEXT NOT NULL, 
	"database" TEXT NOT NULL, 
	collection TEXT NOT NULL, 
	last_failed INTEGER, 
	last_completed_at FLOAT, 
	last_finished_at FLOAT, 
	last_aborted INTEGER DEFAULT 0 NOT NULL, 
	PRIMARY KEY (cluster, "database", collection)
);
INSERT INTO "outcomes" VALUES('books','','songs',0,1795540090.0,1795540090.0,0);
INSERT INTO "outcomes" VALUES('books','','films',1,NULL,1795540090.0,0);
CREATE TABLE schema (
	version INTEGER NOT NULL
);
INSERT INTO "schema" VALUES(6);
CREATE TABLE transitions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	cluster TEXT NOT NULL, 
	cluster_id TEXT NOT NULL, 
	"database" TEXT NOT NULL, 
	collection TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	to_state TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	from_state TEXT, 
	at FLOAT NOT NULL, 
	progress FLOAT, 
	failure TEXT, 
	duration FLOAT NOT NULL, 
	unexpected INTEGER NOT NULL, 
	logged INTEGER DEFAULT 0 NOT NULL, 
	recorded_at FLOAT
);
INSERT INTO "transitions" VALUES(1,'books','in01-books','','songs','2','completed','','pending',1795540090.0,1.0,NULL,60.0,0,1,1795540090.0);
INSERT INTO "transitions" VALUES(2,'books','in01-books','','films','3','failed','file not found',NULL,1795540090.0,NULL,'file_not_found',0.0,0,1,1795540090.0);
CREATE INDEX jobs_unfinished ON jobs (cluster) WHERE finished_at IS NULL;
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_of_cluster_by_end ON jobs (cluster, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_of_cluster_by_state ON jobs (cluster, state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_of_collection_by_end ON jobs (cluster, "database", collection, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_listed ON jobs (cluster, missing_since, finished_at, job_id) WHERE missing_since IS NULL AND finished_at IS NOT NULL;
CREATE INDEX jobs_incomplete ON jobs (cluster) WHERE incomplete;
CREATE INDEX jobs_by_missing ON jobs (missing_since) WHERE missing_since IS NOT NULL;
CREATE INDEX transitions_by_time ON transitions (at);
CREATE INDEX transitions_by_job ON transitions (cluster, job_id);
CREATE INDEX cluster_status_by_change ON cluster_status (changed_at);
CREATE INDEX transitions_not_logged ON transitions (recorded_at) WHERE NOT logged;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('transitions',2);
COMMIT;
