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
INSERT INTO "clusters" VALUES('books','in01-books//',24,1795540030.0);
CREATE TABLE discoveries (
	name TEXT NOT NULL, 
	clusters TEXT NOT NULL, 
	PRIMARY KEY (name)
);
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
INSERT INTO "jobs" VALUES('books','1','{"job_id":"1","collection":"books","state":"completed","first_seen":1795540030.0,"state_since":1795540060.0,"last_change":1795540060.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540060.0}','','books','completed','',0,1795540060.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','2','{"job_id":"2","collection":"books","state":"completed","first_seen":1795540090.0,"state_since":1795540150.0,"last_change":1795540150.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540150.0}','','books','completed','',0,1795540150.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','3','{"job_id":"3","collection":"books","state":"completed","first_seen":1795540180.0,"state_since":1795540270.0,"last_change":1795540270.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540270.0}','','books','completed','',0,1795540270.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','4','{"job_id":"4","collection":"books","state":"completed","first_seen":1795540300.0,"state_since":1795540420.0,"last_change":1795540420.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540420.0}','','books','completed','',0,1795540420.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','5','{"job_id":"5","collection":"books","state":"completed","first_seen":1795540450.0,"state_since":1795540600.0,"last_change":1795540600.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540600.0}','','books','completed','',0,1795540600.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','6','{"job_id":"6","collection":"books","state":"completed","first_seen":1795540630.0,"state_since":1795540810.0,"last_change":1795540810.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795540810.0}','','books','completed','',0,1795540810.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','7','{"job_id":"7","collection":"books","state":"completed","first_seen":1795540840.0,"state_since":1795541050.0,"last_change":1795541050.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795541050.0}','','books','completed','',0,1795541050.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','8','{"job_id":"8","collection":"books","state":"completed","first_seen":1795541080.0,"state_since":1795541320.0,"last_change":1795541320.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795541320.0}','','books','completed','',0,1795541320.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','20','{"job_id":"20","collection":"poems","state":"completed","first_seen":1795541350.0,"state_since":1795541380.0,"last_change":1795541380.0,"progress":1.0,"peak_progress":1.0,"finished_at":1795541380.0}','','poems','completed','',0,1795541380.0,1795541560.0,0);
INSERT INTO "jobs" VALUES('books','21','{"job_id":"21","collection":"poems","state":"failed","first_seen":1795541410.0,"state_since":1795541440.0,"last_change":1795541440.0,"reason":"no such file","failure":"file_not_found","peak_progress":0.0,"finished_at":1795541440.0,"missing_since":1795541470.0}','','poems','failed','no such file',0,1795541440.0,1795541470.0,0);
INSERT INTO "jobs" VALUES('books','22','{"job_id":"22","collection":"poems","state":"failed","first_seen":1795541470.0,"state_since":1795541500.0,"last_change":1795541500.0,"reason":"aborted by user","failure":"aborted","peak_progress":0.0,"finished_at":1795541500.0,"missing_since":1795541530.0}','','poems','failed','aborted by user',0,1795541500.0,1795541530.0,0);
INSERT INTO "jobs" VALUES('books','23','{"job_id":"23","collection":"poems","state":"failed","first_seen":1795541530.0,"state_since":1795541560.0,"last_change":1795541560.0,"reason":"no such file","failure":"file_not_found","peak_progress":0.0,"finished_at":1795541560.0}','','poems','failed','no such file',0,1795541560.0,NULL,0);
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
INSERT INTO "outcomes" VALUES('books','','books',0,1795541320.0,1795541320.0,0);
INSERT INTO "outcomes" VALUES('books','','poems',1,1795541380.0,1795541560.0,0);
CREATE TABLE progress_samples (
	cluster TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	slot BIGINT NOT NULL, 
	at FLOAT NOT NULL, 
	state TEXT NOT NULL, 
	progress FLOAT, 
	PRIMARY KEY (cluster, job_id, slot)
)
 WITHOUT ROWID

;
CREATE TABLE schema (
	version INTEGER NOT NULL
);
INSERT INTO "schema" VALUES(7);
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
INSERT INTO "transitions" VALUES(1,'books','in01-books','','books','1','completed','','importing',1795540060.0,1.0,NULL,30.0,0,1,1795540060.0);
INSERT INTO "transitions" VALUES(2,'books','in01-books','','books','2','importing','',NULL,1795540090.0,NULL,NULL,0.0,0,1,1795540090.0);
INSERT INTO "transitions" VALUES(3,'books','in01-books','','books','2','completed','','importing',1795540150.0,1.0,NULL,60.0,0,1,1795540150.0);
INSERT INTO "transitions" VALUES(4,'books','in01-books','','books','3','importing','',NULL,1795540180.0,NULL,NULL,0.0,0,1,1795540180.0);
INSERT INTO "transitions" VALUES(5,'books','in01-books','','books','3','completed','','importing',1795540270.0,1.0,NULL,90.0,0,1,1795540270.0);
INSERT INTO "transitions" VALUES(6,'books','in01-books','','books','4','importing','',NULL,1795540300.0,NULL,NULL,0.0,0,1,1795540300.0);
INSERT INTO "transitions" VALUES(7,'books','in01-books','','books','4','completed','','importing',1795540420.0,1.0,NULL,120.0,0,1,1795540420.0);
INSERT INTO "transitions" VALUES(8,'books','in01-books','','books','5','importing','',NULL,1795540450.0,NULL,NULL,0.0,0,1,1795540450.0);
INSERT INTO "transitions" VALUES(9,'books','in01-books','','books','5','completed','','importing',1795540600.0,1.0,NULL,150.0,0,1,1795540600.0);
INSERT INTO "transitions" VALUES(10,'books','in01-books','','books','6','importing','',NULL,1795540630.0,NULL,NULL,0.0,0,1,1795540630.0);
INSERT INTO "transitions" VALUES(11,'books','in01-books','','books','6','completed','','importing',1795540810.0,1.0,NULL,180.0,0,1,1795540810.0);
INSERT INTO "transitions" VALUES(12,'books','in01-books','','books','7','importing','',NULL,1795540840.0,NULL,NULL,0.0,0,1,1795540840.0);
INSERT INTO "transitions" VALUES(13,'books','in01-books','','books','7','completed','','importing',1795541050.0,1.0,NULL,210.0,0,1,1795541050.0);
INSERT INTO "transitions" VALUES(14,'books','in01-books','','books','8','importing','',NULL,1795541080.0,NULL,NULL,0.0,0,1,1795541080.0);
INSERT INTO "transitions" VALUES(15,'books','in01-books','','books','8','completed','','importing',1795541320.0,1.0,NULL,240.0,0,1,1795541320.0);
INSERT INTO "transitions" VALUES(16,'books','in01-books','','poems','20','importing','',NULL,1795541350.0,NULL,NULL,0.0,0,1,1795541350.0);
INSERT INTO "transitions" VALUES(17,'books','in01-books','','poems','20','completed','','importing',1795541380.0,1.0,NULL,30.0,0,1,1795541380.0);
INSERT INTO "transitions" VALUES(18,'books','in01-books','','poems','21','importing','',NULL,1795541410.0,NULL,NULL,0.0,0,1,1795541410.0);
INSERT INTO "transitions" VALUES(19,'books','in01-books','','poems','21','failed','no such file','importing',1795541440.0,NULL,'file_not_found',30.0,0,1,1795541440.0);
INSERT INTO "transitions" VALUES(20,'books','in01-books','','poems','22','importing','',NULL,1795541470.0,NULL,NULL,0.0,0,1,1795541470.0);
INSERT INTO "transitions" VALUES(21,'books','in01-books','','poems','22','failed','aborted by user','importing',1795541500.0,NULL,'aborted',30.0,0,1,1795541500.0);
INSERT INTO "transitions" VALUES(22,'books','in01-books','','poems','23','importing','',NULL,1795541530.0,NULL,NULL,0.0,0,1,1795541530.0);
INSERT INTO "transitions" VALUES(23,'books','in01-books','','poems','23','failed','no such file','importing',1795541560.0,NULL,'file_not_found',30.0,0,1,1795541560.0);
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
CREATE INDEX progress_samples_by_time ON progress_samples (at);
CREATE INDEX transitions_not_logged ON transitions (recorded_at) WHERE NOT logged;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('transitions',23);
COMMIT;
