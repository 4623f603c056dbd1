"""The state machines of the scheduler's side as tables: (state, event) → next state and what to do.

The tables are the documentation: no actor holds a rule of its own about what follows what. It only classifies what
happens as an event of its table, and carries out the actions in the order listed.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum

from actors.messages import TERMINAL_PHASES, TaskPhase
from actors.records import ENDED_PHASES, OperationPhase
from actors.runtime.state_machine import Table
from mesos_v1.states import TaskState

# The subscription to the master. The actor drops what belongs to an old attempt before it looks here.
# Source: Mesos documentation, "Scheduler HTTP API", sections "Disconnections", "Network partitions", "Master detection".


class ConnectionState(StrEnum):
    """Where the subscription is."""

    IDLE = "idle"  # no subscription has been asked for yet
    DETECTING = "detecting"  # who leads is not known
    CONNECTING = "connecting"  # SUBSCRIBE is on its way; redirects are followed here
    SUBSCRIBING = "subscribing"  # the master answered 200; SUBSCRIBED has not come yet
    SUBSCRIBED = "subscribed"
    DISCONNECTED = "disconnected"  # waiting for the next attempt
    ENDING = "ending"  # TEARDOWN is on its way
    ENDED = "ended"  # for good


class ConnectionEvent(StrEnum):
    """What can happen to the subscription."""

    CONNECT_ASKED = "connect asked"
    LEADER_FOUND = "leader found"
    LEADER_LOST = "leader lost"
    OPENED = "opened"  # HTTP 200
    SUBSCRIBED = "subscribed"  # the event
    BROKE = "broke"  # refused, 503, EOF, reset, garbage, a call that says the subscription is gone
    SILENT = "silent"  # no heartbeat for too long, or no SUBSCRIBED
    RETRY_DUE = "retry due"
    REFUSED = "refused"  # the master will never take us: wrong credentials, bad request, ERROR
    TEARDOWN_ASKED = "teardown asked"
    TEARDOWN_ANSWERED = "teardown answered"  # taken; or the master says that the framework is gone
    TEARDOWN_FAILED = "teardown failed"  # no answer in time, or one that means: not now, not here
    TEARDOWN_TIMED_OUT = "teardown timed out"  # for good


class ConnectionAction(Enum):
    """What the connection does on a transition, in the order listed."""

    DETECT = "find out who leads"
    OPEN = "begin a new attempt: POST SUBSCRIBE"
    AWAIT_SUBSCRIBED = "set the watchdog for SUBSCRIBED"
    ANNOUNCE = "tell the others, start the heartbeat watchdog, send what was kept"
    CLOSE = "close the stream and the call connection"
    LOSE = "tell the others that the subscription is gone"
    BACK_OFF = "set the timer of the next attempt"
    CLOSE_STREAM = "close the stream; the answer to TEARDOWN may still come"
    SEND_TEARDOWN = "send TEARDOWN and set its timer"
    REPORT_ERROR = "tell the scheduler that it cannot continue"
    REPORT_TEARDOWN = "tell the scheduler that the framework is gone"
    REPORT_UNTOLD = "tell the scheduler that the master could not be told of the framework's end"


CS, CE, CA = ConnectionState, ConnectionEvent, ConnectionAction

_ATTEMPT = (CS.CONNECTING, CS.SUBSCRIBING)
_WITHOUT_SUBSCRIPTION = (CS.IDLE, CS.DETECTING, *_ATTEMPT, CS.DISCONNECTED)
_SUBSCRIPTION = (CE.OPENED, CE.SUBSCRIBED, CE.BROKE, CE.SILENT, CE.REFUSED)

CONNECTION = Table[ConnectionState, ConnectionEvent, ConnectionAction](
    "a subscription",
    CS.IDLE,
    CE,
    [
        ((CS.IDLE, CS.ENDED), CE.CONNECT_ASKED, CS.DETECTING, CA.DETECT),
        (CS.DISCONNECTED, CE.RETRY_DUE, CS.DETECTING, CA.DETECT),
        ((CS.DETECTING, CS.DISCONNECTED), CE.LEADER_FOUND, CS.CONNECTING, CA.OPEN),
        ((*_ATTEMPT, CS.ENDING), CE.LEADER_FOUND, CS.CONNECTING, CA.CLOSE, CA.OPEN),
        (CS.SUBSCRIBED, CE.LEADER_FOUND, CS.CONNECTING, CA.CLOSE, CA.LOSE, CA.OPEN),
        (_ATTEMPT, CE.LEADER_LOST, CS.DETECTING, CA.CLOSE),
        (CS.CONNECTING, CE.OPENED, CS.SUBSCRIBING, CA.AWAIT_SUBSCRIBED),
        ((CS.SUBSCRIBING, CS.SUBSCRIBED), CE.SUBSCRIBED, CS.SUBSCRIBED, CA.ANNOUNCE),
        (_ATTEMPT, CE.BROKE, CS.DISCONNECTED, CA.CLOSE, CA.BACK_OFF),
        (CS.SUBSCRIBING, CE.SILENT, CS.DISCONNECTED, CA.CLOSE, CA.BACK_OFF),
        (CS.SUBSCRIBED, (CE.BROKE, CE.SILENT), CS.DISCONNECTED, CA.CLOSE, CA.LOSE, CA.BACK_OFF),
        (_ATTEMPT, CE.REFUSED, CS.ENDED, CA.CLOSE, CA.REPORT_ERROR),
        (CS.SUBSCRIBED, CE.REFUSED, CS.ENDED, CA.CLOSE, CA.LOSE, CA.REPORT_ERROR),
        (CS.SUBSCRIBED, CE.TEARDOWN_ASKED, CS.ENDING, CA.SEND_TEARDOWN),
        (CS.ENDING, CE.BROKE, CS.ENDING, CA.CLOSE_STREAM),  # a master closes it before it answers, or dies
        # Subscribe again, and send it again.
        (CS.ENDING, (CE.TEARDOWN_FAILED, CE.SILENT), CS.DISCONNECTED, CA.CLOSE, CA.BACK_OFF),
        (CS, CE.TEARDOWN_ANSWERED, CS.ENDED, CA.CLOSE, CA.REPORT_TEARDOWN),
        ((*_WITHOUT_SUBSCRIPTION, CS.ENDING), CE.TEARDOWN_TIMED_OUT, CS.ENDED, CA.CLOSE, CA.REPORT_UNTOLD),
        # Another scheduler has taken over; or we may not end it.
        (CS.ENDING, CE.REFUSED, CS.ENDED, CA.CLOSE, CA.REPORT_UNTOLD),
        (CS.ENDED, CE.TEARDOWN_ASKED, CS.ENDED, CA.CLOSE, CA.REPORT_UNTOLD),
    ],
    ignored=[
        ((CS.IDLE, CS.DETECTING), _SUBSCRIPTION, "there is no attempt that could say anything"),
        (CS.DISCONNECTED, _SUBSCRIPTION, "the attempt is over"),
        (CS.ENDED, _SUBSCRIPTION, "the framework has ended"),
        (CS.CONNECTING, (CE.SUBSCRIBED, CE.SILENT), "silence before the answer is a failure to open"),
        ((CS.SUBSCRIBING, CS.SUBSCRIBED), CE.OPENED, "SUBSCRIBE is answered once"),
        (CS.ENDING, (CE.OPENED, CE.SUBSCRIBED), "once is enough"),
        ((CS.IDLE, CS.ENDED), (CE.LEADER_FOUND, CE.LEADER_LOST), "no subscription is wanted"),
        # A leader that steps down closes the stream itself; that ZooKeeper has lost it is not a reason to act earlier.
        ((CS.SUBSCRIBED, CS.ENDING), CE.LEADER_LOST, "the leader closes the stream itself"),
        ((CS.DETECTING, CS.DISCONNECTED), CE.LEADER_LOST, "none is known"),
        (set(CS) - {CS.IDLE, CS.ENDED}, CE.CONNECT_ASKED, "asked once is enough"),
        (set(CS) - {CS.DISCONNECTED}, CE.RETRY_DUE, "the next attempt has begun, or none is wanted"),
        (_WITHOUT_SUBSCRIPTION, CE.TEARDOWN_ASKED, "it is remembered, and its timer runs"),
        (CS.ENDING, CE.TEARDOWN_ASKED, "once is enough"),
        (set(CS) - {CS.ENDING}, CE.TEARDOWN_FAILED, "none is on its way"),
        # A TEARDOWN that is due is sent in the turn in which the subscription begins, so its timer finds ENDING.
        ((CS.SUBSCRIBED, CS.ENDED), CE.TEARDOWN_TIMED_OUT, "it has been sent, or answered"),
    ],
)


# A task. Sources: Mesos documentation, "Designing Highly Available Mesos Frameworks" and "Reconciliation"
# (an attempt is known only by what the master says about it), and "Task State Reasons" for partition-aware states.


class TaskEvent(StrEnum):
    """What can happen to a task."""

    __hash__ = str.__hash__

    LAUNCHED = "launched"  # the intent is stored and the ACCEPT has left
    NOT_LAUNCHED = "not launched"  # the ACCEPT expired or was refused as a whole
    WITHDRAWN = "withdrawn"  # the broker has dropped the demand
    BROKER_RESTARTED = "broker restarted"
    STAGING = "update: staging"
    RUNNING = "update: running"
    KILLING = "update: killing"
    UNREACHABLE = "update: unreachable"
    FINISHED = "update: finished"
    FAILED_RETRY = "update: failed, attempts left"
    FAILED_LAST = "update: failed, no attempt left"
    LOST_RETRY = "update: lost by the cluster or killed, losses left"
    LOST_LAST = "update: lost by the cluster or killed, no loss left"
    KILL_ASKED = "kill asked"
    KILL_DUE = "kill due again"
    LAUNCH_TIMED_OUT = "launch timed out"
    RUN_TIMED_OUT = "run timed out"
    MOVE_ASKED = "move asked"  # its agent is about to go down
    RETRY_DUE = "retry due"
    RESULT_REFUSED = "the store refuses the result"


class TaskAction(Enum):
    """What the task actor does on a transition, in the order listed."""

    DEMAND = "tell the broker what this attempt needs"
    WITHDRAW = "tell the broker that nothing is needed any more"
    KILL = "send KILL and set the timer for sending it again"
    RECONCILE = "ask the reconciler for the truth about this attempt, and set the launch timer again"
    AWAIT_NEWS = "set the launch timer"
    WATCH_RUN = "set the run timer once per attempt"
    WATCH_PARTITION = "set the timer for giving an unreachable attempt up"
    NEXT_ATTEMPT = "give the next attempt its id"
    BACK_OFF = "set the retry timer"
    DONE = "tell the scheduler the outcome, once it is stored"


TP, TE, TA = TaskPhase, TaskEvent, TaskAction

_NOT_RUNNING = (TP.LAUNCHING, TP.STAGING, TP.UNREACHABLE)
_HAS_ATTEMPT = (*_NOT_RUNNING, TP.RUNNING)
_RETRY = (TE.FAILED_RETRY, TE.LOST_RETRY)
_LAST = (TE.FAILED_LAST, TE.LOST_LAST)
_ALIVE = (TE.STAGING, TE.RUNNING, TE.KILLING, TE.UNREACHABLE)
_BROKERS = (TE.LAUNCHED, TE.NOT_LAUNCHED, TE.WITHDRAWN, TE.BROKER_RESTARTED)
_OF_A_KILL = {TE.NOT_LAUNCHED, TE.KILL_DUE}
_TIMERS = (TE.KILL_DUE, TE.LAUNCH_TIMED_OUT, TE.RUN_TIMED_OUT, TE.RETRY_DUE)

TASK = Table[TaskPhase, TaskEvent, TaskAction](
    "a task",
    TP.WAITING,
    TE,
    [
        (TP.WAITING, TE.LAUNCHED, TP.LAUNCHING, TA.AWAIT_NEWS),
        (TP.WAITING, TE.BROKER_RESTARTED, None, TA.DEMAND),
        (TP.WAITING, TE.KILL_ASKED, TP.WITHDRAWING, TA.WITHDRAW),
        # Had its ACCEPT left, LAUNCHED would have come before the news of the broker's restart.
        (TP.WITHDRAWING, (TE.WITHDRAWN, TE.BROKER_RESTARTED), TP.KILLED, TA.DONE),
        (TP.WITHDRAWING, TE.LAUNCHED, TP.KILLING, TA.KILL),
        (TP.LAUNCHING, TE.NOT_LAUNCHED, TP.WAITING, TA.DEMAND),
        ((TP.LAUNCHING, TP.STAGING), TE.LAUNCH_TIMED_OUT, None, TA.RECONCILE),
        ((TP.LAUNCHING, TP.STAGING, TP.RUNNING), (TE.MOVE_ASKED, TE.KILL_DUE), None, TA.KILL),
        (TP.RUNNING, TE.RUN_TIMED_OUT, None, TA.KILL),
        (_HAS_ATTEMPT, TE.KILL_ASKED, TP.KILLING, TA.KILL),
        (TP.KILLING, (TE.KILL_ASKED, TE.KILL_DUE), None, TA.KILL),
        (TP.KILLING, TE.NOT_LAUNCHED, TP.KILLED, TA.DONE),
        (TP.BACKING_OFF, TE.RETRY_DUE, TP.WAITING, TA.NEXT_ATTEMPT, TA.DEMAND),
        (TP.BACKING_OFF, TE.KILL_ASKED, TP.KILLED, TA.DONE),
        # An update of an attempt that may exist, no kill asked.
        (_NOT_RUNNING, TE.STAGING, TP.STAGING, TA.AWAIT_NEWS),
        (TP.RUNNING, TE.STAGING, None),  # the launch timer matters only before TASK_RUNNING
        (_HAS_ATTEMPT, TE.RUNNING, TP.RUNNING, TA.WATCH_RUN),
        (_HAS_ATTEMPT, TE.KILLING, TP.RUNNING),  # somebody else kills it; the terminal update will tell
        (_HAS_ATTEMPT, TE.UNREACHABLE, TP.UNREACHABLE, TA.WATCH_PARTITION),
        (_HAS_ATTEMPT, TE.FINISHED, TP.FINISHED, TA.DONE),
        # Also killed by somebody who is not the author (an operator, a drained agent): it runs again elsewhere.
        (_HAS_ATTEMPT, _RETRY, TP.BACKING_OFF, TA.BACK_OFF),
        (_HAS_ATTEMPT, _LAST, TP.FAILED, TA.DONE),
        # An update of an attempt that was thought never to have left (its ACCEPT was reported lost, or the broker was
        # restarted in between): the news is right, the demand is not.
        (TP.WAITING, TE.STAGING, TP.STAGING, TA.WITHDRAW, TA.AWAIT_NEWS),
        (TP.WAITING, TE.RUNNING, TP.RUNNING, TA.WITHDRAW, TA.WATCH_RUN),
        (TP.WAITING, TE.KILLING, TP.RUNNING, TA.WITHDRAW),
        (TP.WAITING, TE.UNREACHABLE, TP.UNREACHABLE, TA.WITHDRAW, TA.WATCH_PARTITION),
        (TP.WAITING, TE.FINISHED, TP.FINISHED, TA.WITHDRAW, TA.DONE),
        (TP.WAITING, _RETRY, TP.BACKING_OFF, TA.WITHDRAW, TA.BACK_OFF),
        (TP.WAITING, _LAST, TP.FAILED, TA.WITHDRAW, TA.DONE),
        # An update while a kill is under way.
        (TP.KILLING, _ALIVE, None),
        (TP.KILLING, TE.FINISHED, TP.FINISHED, TA.DONE),  # it was faster than the kill
        (TP.KILLING, (*_RETRY, *_LAST), TP.KILLED, TA.DONE),  # killed as asked, or gone before
        (TP.WITHDRAWING, _ALIVE, TP.KILLING, TA.WITHDRAW, TA.KILL),
        (TP.WITHDRAWING, TE.FINISHED, TP.FINISHED, TA.WITHDRAW, TA.DONE),
        (TP.WITHDRAWING, (*_RETRY, *_LAST), TP.KILLED, TA.WITHDRAW, TA.DONE),
        (TERMINAL_PHASES, TE.RESULT_REFUSED, TP.FAILED, TA.DONE),
    ],
    ignored=[
        (TP.WAITING, (TE.NOT_LAUNCHED, TE.WITHDRAWN), "no ACCEPT has left, and nothing was withdrawn"),
        (TP.WAITING, (*_TIMERS, TE.MOVE_ASKED), "there is no attempt"),
        (TP.LAUNCHING, (TE.WITHDRAWN, TE.BROKER_RESTARTED), "the broker has let go of the demand"),
        (TP.LAUNCHING, TE.LAUNCHED, "a launch cannot be told twice"),
        ((TP.STAGING, TP.RUNNING, TP.UNREACHABLE), _BROKERS, "news of it proves that its ACCEPT arrived"),
        ((TP.LAUNCHING, TP.STAGING), TE.RUN_TIMED_OUT, "it does not run yet"),
        (TP.RUNNING, TE.LAUNCH_TIMED_OUT, "it runs"),
        (_HAS_ATTEMPT, TE.RETRY_DUE, "the attempt is under way"),
        (TP.UNREACHABLE, {*_TIMERS, TE.MOVE_ASKED} - {TE.RETRY_DUE}, "its agent is away"),
        (TP.WITHDRAWING, TE.NOT_LAUNCHED, "an ACCEPT that came to nothing was LAUNCHED first"),
        (TP.WITHDRAWING, (*_TIMERS, TE.KILL_ASKED, TE.MOVE_ASKED), "a kill is under way"),
        (TP.KILLING, {*_BROKERS, *_TIMERS, TE.MOVE_ASKED} - _OF_A_KILL, "only the attempt's end matters now"),
        # What still comes of the attempt is acknowledged, and changes nothing.
        (TP.BACKING_OFF, {*TE} - {TE.RETRY_DUE, TE.KILL_ASKED, TE.RESULT_REFUSED}, "the attempt is over"),
        (TERMINAL_PHASES, {*TE} - {TE.RESULT_REFUSED}, "the outcome is known"),
        ({*TP} - TERMINAL_PHASES, TE.RESULT_REFUSED, "there is no result"),
    ],
    ends=TERMINAL_PHASES,
)

EVENT_OF_STATE: Mapping[TaskState, TaskEvent] = {
    TaskState.TASK_STAGING: TE.STAGING,
    TaskState.TASK_STARTING: TE.RUNNING,
    TaskState.TASK_RUNNING: TE.RUNNING,
    TaskState.TASK_KILLING: TE.KILLING,
    TaskState.TASK_UNREACHABLE: TE.UNREACHABLE,
    TaskState.TASK_FINISHED: TE.FINISHED,
    TaskState.TASK_FAILED: TE.FAILED_RETRY,
    TaskState.TASK_ERROR: TE.FAILED_RETRY,
    TaskState.TASK_KILLED: TE.LOST_RETRY,
    TaskState.TASK_LOST: TE.LOST_RETRY,
    TaskState.TASK_DROPPED: TE.LOST_RETRY,
    TaskState.TASK_GONE: TE.LOST_RETRY,
    TaskState.TASK_GONE_BY_OPERATOR: TE.LOST_RETRY,
    TaskState.TASK_UNKNOWN: TE.LOST_RETRY,  # "TASK_UNKNOWN: the master has no knowledge of the task": give it up
}
"""How a Mesos state is read before attempts and losses are counted."""


# An offer operation with an id. Sources: Mesos documentation, "Operation Feedback", and the comments on `OperationState` in mesos.proto: UNREACHABLE, RECOVERING
# and PENDING may still become anything; DROPPED, GONE_BY_OPERATOR and (asked about in time) UNKNOWN will not.


class OperationEvent(StrEnum):
    """What can happen to an operation."""

    LAUNCHED = "launched"  # the intent is stored and the ACCEPT has left
    BROKER_RESTARTED = "broker restarted"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"  # the broker has dropped the demand
    RETRY_DUE = "retry due"
    PENDING = "update: pending"
    UNREACHABLE = "update: unreachable or recovering"
    FINISHED = "update: finished"
    FAILED = "update: failed; or the master refuses its ACCEPT"
    LOST = "update: lost; or its own ACCEPT came to nothing"
    LOST_RETRY = "update: lost, and it may be sent again"
    NOT_SENT = "the ACCEPT came to nothing"
    NOT_SENT_RETRY = "the ACCEPT came to nothing, and it may be sent again"
    UNCERTAIN = "whether the ACCEPT arrived is not known"
    OVERDUE = "nothing heard for long"
    RESUBSCRIBED = "the subscription is new"


class OperationAction(Enum):
    """What the operation's actor does on a transition, in the order listed."""

    DEMAND = "tell the broker what it needs"
    WITHDRAW = "tell the broker that nothing is needed any more"
    BACK_OFF = "set the timer of the next attempt"
    NEXT_ATTEMPT = "give the next attempt its id"
    RECONCILE = "ask the master about it"
    WAIT = "set the timer after which it is asked about"
    DONE = "tell the scheduler the outcome"


OP, OE, OA = OperationPhase, OperationEvent, OperationAction

_OPEN = (OP.SENT, OP.PENDING, OP.UNREACHABLE)
_NEWS = (OE.PENDING, OE.UNREACHABLE, OE.FINISHED, OE.FAILED, OE.LOST, OE.LOST_RETRY)
_NOT_SENT = (OE.NOT_SENT, OE.NOT_SENT_RETRY, OE.UNCERTAIN)
_ASKING = (OE.OVERDUE, OE.RESUBSCRIBED)

OPERATION = Table[OperationPhase, OperationEvent, OperationAction](
    "an operation",
    OP.WAITING,  # one whose ACCEPT the author sends begins as SENT
    OE,
    [
        (OP.WAITING, OE.LAUNCHED, OP.SENT, OA.WAIT),
        (OP.WAITING, OE.BROKER_RESTARTED, None, OA.DEMAND),
        (OP.WAITING, OE.CANCELLED, OP.WITHDRAWING, OA.WITHDRAW),
        # Had its ACCEPT left, LAUNCHED would have come before the news of the broker's restart.
        (OP.WITHDRAWING, (OE.WITHDRAWN, OE.BROKER_RESTARTED), OP.LOST, OA.DONE),
        (OP.WITHDRAWING, OE.LAUNCHED, OP.SENT, OA.WAIT),
        (OP.BACKING_OFF, OE.RETRY_DUE, OP.WAITING, OA.NEXT_ATTEMPT, OA.DEMAND),
        (OP.BACKING_OFF, OE.CANCELLED, OP.LOST, OA.DONE),
        (OP.SENT, OE.NOT_SENT, OP.LOST, OA.DONE),
        (OP.SENT, OE.NOT_SENT_RETRY, OP.BACKING_OFF, OA.BACK_OFF),
        (OP.SENT, OE.UNCERTAIN, None, OA.RECONCILE, OA.WAIT),
        (_OPEN, OE.PENDING, OP.PENDING, OA.WAIT),
        (_OPEN, OE.UNREACHABLE, OP.UNREACHABLE, OA.WAIT),
        (_OPEN, OE.FINISHED, OP.FINISHED, OA.DONE),
        (_OPEN, OE.FAILED, OP.FAILED, OA.DONE),
        (_OPEN, OE.LOST, OP.LOST, OA.DONE),
        (_OPEN, OE.LOST_RETRY, OP.BACKING_OFF, OA.BACK_OFF),
        (_OPEN, _ASKING, None, OA.RECONCILE, OA.WAIT),
    ],
    ignored=[
        ((OP.PENDING, OP.UNREACHABLE), _NOT_SENT, "news proves that its ACCEPT arrived"),
        (_OPEN, (OE.LAUNCHED, OE.WITHDRAWN, OE.BROKER_RESTARTED, OE.RETRY_DUE), "its ACCEPT has left"),
        (_OPEN, OE.CANCELLED, "what has left cannot be called back"),
        (OP.WAITING, (OE.WITHDRAWN, OE.RETRY_DUE), "its demand stands"),
        (OP.WITHDRAWING, (OE.CANCELLED, OE.RETRY_DUE), "it is cancelled already"),
        (
            OP.BACKING_OFF,
            (OE.LAUNCHED, OE.WITHDRAWN, OE.BROKER_RESTARTED),
            "the broker has no demand of it",
        ),
        (
            (OP.WAITING, OP.WITHDRAWING, OP.BACKING_OFF),
            (*_NEWS, *_NOT_SENT, *_ASKING),
            "no attempt is on its way",
        ),
        (ENDED_PHASES, OE, "the outcome is known"),
    ],
    ends=ENDED_PHASES,
)


# Who leads a framework whose store several processes share: one of them holds the leased key. A leader that cannot renew its
# lease in time sends nothing (the connection sees to that by the clock) but goes on trying: only when the lease is known to be
# lost, or another one has led, is it deposed.


class ElectionState(StrEnum):
    """Where this process is in the election."""

    STANDING = "standing"  # it tries to take the lead, or to reach the servers
    FOLLOWING = "following"  # another process leads
    LEADING = "leading"
    ENDED = "ended"


class ElectionEvent(StrEnum):
    """What can happen in the election."""

    WON = "won"  # the leader's key is ours
    BEATEN = "beaten"  # it is another process's
    MOVED = "moved"  # the key of the other one has changed
    AWAY = "away"  # the servers did not answer, or the connection to them is over
    LOST = "lost"  # the lease has expired, or another process has led since
    FRAMEWORK_ENDED = "framework ended"  # under another leader
    PATIENCE_OVER = "patience over"  # of a process that is not to stand by


class ElectionAction(Enum):
    """What the election does on a transition, in the order listed."""

    STEP = "go on at once"
    STEP_LATER = "go on after a wait"
    DISCONNECT = "close the connection, so that the next step opens another"
    LEAD = "have the root start the framework, and renew the lease from now on"
    FOLLOW = "say who leads, and wait for the key to change"
    DEPOSE = "close the gates, and have the root stop what the leader was"
    GIVE_UP = "have the root end this process, and say why"


ES, EE, EA = ElectionState, ElectionEvent, ElectionAction

ELECTION = Table[ElectionState, ElectionEvent, ElectionAction](
    "an election",
    ES.STANDING,
    EE,
    [
        (ES.STANDING, EE.WON, ES.LEADING, EA.LEAD),
        (ES.STANDING, EE.BEATEN, ES.FOLLOWING, EA.FOLLOW, EA.STEP),
        (ES.FOLLOWING, EE.MOVED, ES.STANDING, EA.STEP),
        ((ES.STANDING, ES.FOLLOWING), (EE.AWAY, EE.LOST), ES.STANDING, EA.DISCONNECT, EA.STEP_LATER),
        (ES.LEADING, EE.AWAY, None, EA.STEP_LATER),
        (ES.LEADING, EE.LOST, ES.STANDING, EA.DEPOSE, EA.DISCONNECT, EA.STEP),
        ((ES.STANDING, ES.FOLLOWING), (EE.FRAMEWORK_ENDED, EE.PATIENCE_OVER), ES.ENDED, EA.GIVE_UP),
    ],
    ignored=[
        (ES.ENDED, EE, "the process ends"),
    ],
    impossible=[
        ((ES.FOLLOWING, ES.LEADING), (EE.WON, EE.BEATEN), "only one that stands is elected or not"),
        ((ES.STANDING, ES.LEADING), EE.MOVED, "only one that follows looks at another's key"),
        (ES.LEADING, (EE.FRAMEWORK_ENDED, EE.PATIENCE_OVER), "it is the leader itself that ends"),
    ],
    ends={ES.ENDED},
)


# An executor that reliable messages are for. Messages are addressed to one instance of it (a process), which is stored before the first of
# them is sent: another instance never gets what was meant for one that is gone.


class PeerState(StrEnum):
    """What is known of the executor."""

    UNKNOWN = "unknown"
    ASKED = "asked"  # which instance there is
    MEETING = "meeting"  # it has answered, and that is being stored
    KNOWN = "known"


class PeerEvent(StrEnum):
    """What can happen to it."""

    WANTED = "wanted"  # there is a message for it
    OVERDUE = "overdue"  # it has not said anything for a while
    MET = "met"  # it says which instance it is
    STORED = "stored"  # which instance it is
    OTHER = "other"  # another instance speaks
    LOST = "lost"  # it is gone, or nothing was heard of it for too long


class PeerAction(Enum):
    """What is done about it, in the order listed."""

    ASK = "ask who is there"
    STORE = "store which instance it is"
    SEND = "send what was not sent"
    REPEAT = "send again what is not acknowledged"
    GIVE_UP = "tell the author what is undelivered"


RS, RE, RA = PeerState, PeerEvent, PeerAction

PEER = Table[PeerState, PeerEvent, PeerAction](
    "an executor that messages are for",
    RS.UNKNOWN,
    RE,
    [
        (RS.UNKNOWN, (RE.WANTED, RE.OVERDUE), RS.ASKED, RA.ASK),
        (RS.ASKED, RE.OVERDUE, None, RA.ASK),
        ((RS.UNKNOWN, RS.ASKED), RE.MET, RS.MEETING, RA.STORE),
        (RS.MEETING, RE.STORED, RS.KNOWN, RA.SEND),
        (RS.MEETING, RE.OTHER, None, RA.STORE),  # the first one was sent nothing
        (RS.KNOWN, RE.WANTED, None, RA.SEND),
        (RS.KNOWN, RE.OVERDUE, None, RA.REPEAT),
        (RS.KNOWN, RE.OTHER, RS.MEETING, RA.GIVE_UP, RA.STORE),
        (set(RS), RE.LOST, RS.UNKNOWN, RA.GIVE_UP),
    ],
    ignored=[
        (RS.ASKED, RE.WANTED, "it is asked once for all of them"),
        ((RS.UNKNOWN, RS.ASKED), RE.STORED, "it was lost meanwhile"),
        ((RS.UNKNOWN, RS.ASKED), RE.OTHER, "none was known"),
        (RS.MEETING, (RE.WANTED, RE.OVERDUE), "what waits is sent when its instance is stored"),
        (RS.MEETING, RE.MET, "it has said so before"),
        (RS.KNOWN, (RE.MET, RE.STORED), "it is known"),
    ],
)
