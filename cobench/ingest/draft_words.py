"""What schools call things: headers and labels by which a draft of a study file guesses. Every guess is to be confirmed."""

from __future__ import annotations

_NAME = ("姓名", "学生姓名", "孩子姓名")
_CLASS = ("班级", "孩子班级", "所在班级", "行政班")
_SCHOOL = ("学校代码", "学校", "学校名称", "所在学校", "校名")
_DATE = ("日期", "家访日期", "家访时间", "走访日期", "活动日期", "活动时间", "时间")

# Canonical column to headers, by table; first those that a table can't do without.
REQUIRED: dict[str, dict[str, tuple[str, ...]]] = {
    "schools": {
        "school": ("学校代码", "学校编码", "学校标识码", "代码"),
        "name": ("学校名称", "校名", "学校"),
        "stage": ("学段", "办学类型", "学校类别"),
    },
    "students": {
        "student_name": _NAME,
        "student_number": ("学籍号", "全国学籍号", "学生学籍号", "学籍编号"),
        "class": _CLASS,
    },
    "memberships": {
        "student_name": _NAME,
        "class": _CLASS,
        "category": ("类别", "学生类别", "重点类别", "关爱类别"),
        "valid_from": ("认定日期", "认定时间", "入册日期", "建档日期"),
    },
    "contacts": {
        "date": _DATE,
        "student_name": _NAME,
        "class": _CLASS,
        "mode": ("家访方式", "方式", "走访方式", "沟通方式", "联系方式"),
    },
    "attendance": {
        "student_name": _NAME,
        "class": _CLASS,
        "event": ("场次", "活动场次", "讲座场次", "讲座"),
        "present": ("状态", "签到状态", "是否到场", "到场情况", "签到情况"),
    },
    "events": {
        "date": _DATE,
        "kind": ("活动类型", "活动类别", "类型"),
        "topic": ("主题", "活动主题", "活动名称", "讲座主题"),
    },
    "outcomes": {"student_name": _NAME, "class": _CLASS},
}
ALSO: dict[str, dict[str, tuple[str, ...]]] = {
    "schools": {"short_name": ("简称", "学校简称"), "former_names": ("曾用名", "原校名")},
    "students": {
        "sex": ("性别",),
        "birth_month": ("出生年月", "出生日期"),
        "boarding": ("住宿", "是否住宿", "是否寄宿"),
        "status": ("状态", "学籍状态", "就读状态"),
    },
    "memberships": {"source": ("依据", "认定依据", "来源")},
    "contacts": {
        "trigger": ("类型", "家访类型", "家访类别"),
        "teacher_role": ("教师角色", "家访教师身份"),
        "minutes": ("时长", "家访时长"),
        "entered_at": ("录入时间", "填报时间"),
        "teacher": ("教师", "家访教师", "家访人"),
        "note": ("家访内容", "家访情况"),
        "follow_up_due": ("约定回访日期", "回访期限"),
        "follow_up_done": ("回访完成日期", "回访日期"),
        "has_form": ("登记表",),
        "has_photo": ("照片", "图片"),
    },
    "attendance": {},
    "events": {
        "class": _CLASS,
        "n_invited": ("应到人数", "应到"),
        "n_present": ("参加人数", "实到人数", "到会人数"),
        "has_minutes": ("纪要", "会议纪要"),
        "has_feedback": ("反馈",),
    },
    "outcomes": {"student_number": ("学籍号", "全国学籍号")},
}
SCHOOL_HEADERS = _SCHOOL

# Labels by column. Nothing here says which end of an answer scale is the better one: that is never guessed.
LABELS: dict[str, dict[str, str | bool]] = {
    "stage": {
        "幼儿园": "kindergarten",
        "小学": "primary",
        "初中": "junior",
        "初级中学": "junior",
        "高中": "senior",
        "九年一贯制": "nine_year",
    },
    "sex": {"男": "m", "女": "f"},
    "boarding": {"是": True, "否": False, "住校": True, "走读": False, "住宿": True},
    "status": {
        "在读": "enrolled",
        "在校": "enrolled",
        "转入": "transferred_in",
        "转出": "transferred_out",
        "休学": "suspended",
    },
    "mode": {
        "入户": "at_home",
        "上门": "at_home",
        "电话": "phone",
        "微信": "wechat",
        "视频": "video",
        "到校": "at_school",
    },
    "trigger": {"常规": "routine", "普访": "routine", "重点": "targeted", "紧急": "urgent"},
    "teacher_role": {"班主任": "class_teacher", "科任教师": "subject_teacher", "学校领导": "leader"},
    "category": {
        "留守": "left_behind",
        "家庭经济困难": "poverty",
        "单亲或监护缺失": "single_parent",
        "学习困难": "learning",
        "心理或行为异常": "mental",
    },
    **dict.fromkeys(("has_form", "has_photo", "has_minutes", "has_feedback"), {"有": True, "无": False}),
    "present": {"已签到": True, "到": True, "是": True, "未到": False, "缺席": False, "否": False},
    "kind": {
        "家长讲座": "lecture",
        "家长学校": "lecture",
        "家长会": "parent_meeting",
        "家庭教育指导活动": "guidance",
    },
}
MEASURES = {
    "语文": "chinese",
    "数学": "math",
    "英语": "english",
    "科学": "science",
    "物理": "physics",
    "化学": "chemistry",
    "缺勤天数": "absences",
}
NOT_MEASURES = ("序号", "学号", "座号", "考号", "总分", "平均分", "排名", "名次", "备注", "年级", "性别")
