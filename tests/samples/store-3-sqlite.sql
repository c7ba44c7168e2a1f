BEGIN TRANSACTION;
CREATE TABLE clusters (
	name TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	baseline_at FLOAT, 
	PRIMARY KEY (name)
);
INSERT INTO "clusters" VALUES('books','in01-books//',2,1795539030.0);
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
	PRIMARY KEY (cluster, job_id)
);
INSERT INTO "jobs" VALUES('books','1','{"job_id":"1","collection":"poems","state":"importing","first_seen":1795539030.0,"state_since":1795539030.0,"last_change":1795539060.0,"progress":0.2,"peak_progress":0.2,"samples":[[1795539030.0,0.1],[1795539060.0,0.2]]}','','poems','importing','',0,NULL,NULL);
INSERT INTO "jobs" VALUES('books','2','{"job_id":"2","collection":"films","state":"failed","first_seen":1795539030.0,"state_since":1795539060.0,"last_change":1795539060.0,"reason":"aborted by user","failure":"aborted","peak_progress":0.0,"finished_at":1795539060.0}','','films','failed','aborted by user',0,1795539060.0,NULL);
INSERT INTO "jobs" VALUES('books','3','{"job_id":"3","collection":"songs","state":"failed","first_seen":1795539030.0,"state_since":1795539060.0,"last_change":1795539060.0,"reason":"aborted by user","failure":"aborted","peak_progress":0.0,"finished_at":1795539060.0}','','songs','failed','aborted by user',0,1795539060.0,NULL);
INSERT INTO "jobs" VALUES('books','4','{"job_id":"4","collection":"songs","state":"failed","first_seen":1795539030.0,"state_since":1795539060.0,"last_change":1795539060.0,"reason":"no such file","failure":"file_not_found","peak_progress":0.0,"finished_at":1795539060.0}','','songs','failed','no such file',0,1795539060.0,NULL);
INSERT INTO "jobs" VALUES('books','5','{"job_id":"5","collection":"novels","state":"completed","first_seen":1795539030.0,"state_since":1795539060.0,"last_change":1795539060.0,"progress":1.0,"imported_rows":7,"total_rows":7,"peak_progress":1.0,"peak_rows":7,"finished_at":1795539060.0}','','novels','completed','',0,1795539060.0,NULL);
CREATE TABLE outcomes (
	cluster TEXT NOT NULL, 
	"database" TEXT NOT NULL, 
	collection TEXT NOT NULL, 
	last_failed INTEGER, 
	last_completed_at FLOAT, 
	last_finished_at FLOAT, 
	PRIMARY KEY (cluster, "database", collection)
);
INSERT INTO "outcomes" VALUES('books','','films',1,NULL,1795539060.0);
INSERT INTO "outcomes" VALUES('books','','songs',1,NULL,1795539060.0);
INSERT INTO "outcomes" VALUES('books','','novels',0,1795539060.0,1795539060.0);
CREATE TABLE schema (
	version INTEGER NOT NULL
);
INSERT INTO "schema" VALUES(3);
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
INSERT INTO "transitions" VALUES(1,'books','in01-books','','films','2','failed','aborted by user','importing',1795539060.0,NULL,'aborted',30.0,0,1,1795539060.0);
INSERT INTO "transitions" VALUES(2,'books','in01-books','','songs','3','failed','aborted by user','importing',1795539060.0,NULL,'aborted',30.0,0,1,1795539060.0);
INSERT INTO "transitions" VALUES(3,'books','in01-books','','songs','4','failed','no such file','importing',1795539060.0,NULL,'file_not_found',30.0,0,1,1795539060.0);
INSERT INTO "transitions" VALUES(4,'books','in01-books','','novels','5','completed','','importing',1795539060.0,1.0,NULL,30.0,0,1,1795539060.0);
CREATE INDEX jobs_by_state ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_of_cluster_by_state ON jobs (cluster, state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_by_missing ON jobs (missing_since) WHERE missing_since IS NOT NULL;
CREATE INDEX jobs_listed ON jobs (cluster, missing_since, finished_at, job_id) WHERE missing_since IS NULL AND finished_at IS NOT NULL;
CREATE INDEX jobs_of_cluster_by_end ON jobs (cluster, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_unfinished ON jobs (cluster) WHERE finished_at IS NULL;
CREATE INDEX jobs_of_collection_by_end ON jobs (cluster, "database", collection, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX transitions_by_time ON transitions (at);
CREATE INDEX transitions_not_logged ON transitions (recorded_at) WHERE NOT logged;
CREATE INDEX transitions_by_job ON transitions (cluster, job_id);
COMMIT;
